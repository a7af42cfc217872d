//! Whether a field name is a near miss of another: one letter wrong, missing or too many, or two
//! adjacent letters swapped.

/// All watched names are shorter; longer names are not compared.
const NAME_BYTES_MAX: usize = 16;

/// Whether a sender who wrote `found` probably meant `name`, regardless of case and separators. It is asked
/// of each unknown member of each entry, so it allocates nothing.
pub(crate) fn is_near_miss(found: &str, name: &str) -> bool {
    if found.len() > NAME_BYTES_MAX || name.len() > NAME_BYTES_MAX {
        return false;
    }
    let (mut found_letters, mut name_letters) = (['\0'; NAME_BYTES_MAX], ['\0'; NAME_BYTES_MAX]);
    let mut found = letters(found, &mut found_letters);
    let mut name = letters(name, &mut name_letters);
    // Apart from what both begin and end with, at most one slip is left.
    while let ([left, found_rest @ ..], [right, name_rest @ ..]) = (found, name)
        && left == right
    {
        (found, name) = (found_rest, name_rest);
    }
    while let ([found_rest @ .., left], [name_rest @ .., right]) = (found, name)
        && left == right
    {
        (found, name) = (found_rest, name_rest);
    }
    match (found, name) {
        ([] | [_], [] | [_]) => true,
        ([a, b], [c, d]) => a == d && b == c,
        _ => false,
    }
}

fn letters<'b>(name: &str, buffer: &'b mut [char; NAME_BYTES_MAX]) -> &'b [char] {
    let letters = name.chars().filter(|c| !matches!(c, '_' | '-'));
    let mut length = 0;
    for (place, letter) in buffer.iter_mut().zip(letters) {
        *place = letter.to_ascii_lowercase();
        length += 1;
    }
    buffer.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_a_near_miss_and_two_are_another_name() {
        for (found, name, expected) in [
            ("qoute", "quote", true),
            ("quot", "quote", true),
            ("uote", "quote", true),
            ("quotes", "quote", true),
            ("qquote", "quote", true),
            ("qutoe", "quote", true),
            ("uqote", "quote", true),
            ("quoet", "quote", true),
            ("Quote", "quote", true),
            ("quöte", "quote", true),
            ("tickId", "tick_id", true),
            ("tick-id", "tick_id", true),
            ("tick__id", "tick_id", true),
            ("volune", "volume", true),
            ("base_quote", "quote", false),
            ("route", "quote", false),
            ("resource", "source", false),
            ("exchange", "source", false),
            ("qtuoe", "quote", false),
            ("uqoet", "quote", false),
            ("", "quote", false),
            ("quotequotequotequote", "quote", false),
        ] {
            assert_eq!(is_near_miss(found, name), expected, "{found} for {name}");
        }
    }
}
