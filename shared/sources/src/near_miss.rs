//! Whether a field name is a near miss of another: one letter wrong, missing or too many, or two
//! adjacent letters swapped.

use strsim::osa_distance;

/// All watched names are shorter; longer names are not compared.
const NAME_BYTES_MAX: usize = 16;

/// Whether a sender who wrote `found` probably meant `name`, regardless of case and separators.
pub(crate) fn is_near_miss(found: &str, name: &str) -> bool {
    found.len() <= NAME_BYTES_MAX && osa_distance(&letters(found), &letters(name)) <= 1
}

fn letters(name: &str) -> String {
    name.replace(['_', '-'], "").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_a_near_miss_and_two_are_another_name() {
        for (found, name, expected) in [
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
            assert_eq!(is_near_miss(found, name), expected, "{found} for {name}");
        }
    }
}
