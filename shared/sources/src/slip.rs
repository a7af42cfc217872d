//! Whether a member's name is a slip of another: one letter wrong, missing or too many, or two
//! neighbours swapped.

/// No name that is looked for is so long; longer ones are not looked at.
const KEY_BYTES_MAX: usize = 16;

/// Whether somebody who wrote `key` likely meant `name`, whatever its case and its separators.
pub(crate) fn is_slip(key: &str, name: &str) -> bool {
    if key.len() > KEY_BYTES_MAX {
        return false;
    }
    let (key, name) = (letters(key), letters(name));
    let (mut key, mut name) = (key.as_slice(), name.as_slice());
    while let ([a, key_rest @ ..], [b, name_rest @ ..]) = (key, name)
        && a == b
    {
        (key, name) = (key_rest, name_rest);
    }
    while let ([key_rest @ .., a], [name_rest @ .., b]) = (key, name)
        && a == b
    {
        (key, name) = (key_rest, name_rest);
    }
    match (key, name) {
        ([] | [_], [] | [_]) => true,
        ([a, b], [c, d]) => (a, b) == (d, c),
        _ => false,
    }
}

fn letters(text: &str) -> Vec<u8> {
    text.bytes()
        .filter(|byte| !matches!(byte, b'_' | b'-'))
        .map(|byte| byte.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_one_and_two_are_another_name() {
        for (key, name, slip) in [
            ("qoute", "quote", true),
            ("quot", "quote", true),
            ("quotes", "quote", true),
            ("qutoe", "quote", true),
            ("Quote", "quote", true),
            ("tickId", "tick_id", true),
            ("tick-id", "tick_id", true),
            ("volune", "volume", true),
            ("base_quote", "quote", false),
            ("route", "quote", false),
            ("resource", "source", false),
            ("exchange", "source", false),
            ("qtuoe", "quote", false),
            ("", "quote", false),
            ("quotequotequotequote", "quote", false),
        ] {
            assert_eq!(is_slip(key, name), slip, "{key} for {name}");
        }
    }
}
