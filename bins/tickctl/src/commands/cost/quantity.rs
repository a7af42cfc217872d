//! Numbers such as `10M` and `2.5k`.

const SUFFIXES: [(char, f64); 3] = [('k', 1e3), ('M', 1e6), ('G', 1e9)];

/// Reads a number that is 0 or more.
pub(super) fn quantity(text: &str) -> Result<f64, String> {
    let suffix = SUFFIXES.iter().find(|(suffix, _)| text.ends_with(*suffix));
    let (digits, factor) = match suffix {
        Some((suffix, factor)) => (text.trim_end_matches(*suffix), *factor),
        None => (text, 1.0),
    };
    let is_plain = digits.chars().all(|it| it.is_ascii_digit() || it == '.');
    match digits.parse::<f64>() {
        Ok(number) if is_plain => Ok(number * factor),
        Ok(_) | Err(_) => Err("use a number such as 5000, 2.5k or 10M".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_end_in_a_factor() {
        for (text, number) in [
            ("0", 0.0),
            ("5000", 5e3),
            ("2.5k", 2.5e3),
            ("10M", 1e7),
            ("5.26G", 5.26e9),
        ] {
            assert_eq!(quantity(text), Ok(number), "{text}");
        }
        for text in [
            "", "k", "-1", "1e9", "inf", "NaN", "10 M", "10m", "1,000", "10MM0",
        ] {
            assert!(quantity(text).is_err(), "{text}");
        }
    }
}
