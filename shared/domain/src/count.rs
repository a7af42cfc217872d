//! Counts in sentences.

/// A number of things: `1 tick`, `2 ticks`, `3 entries`, `4 batches`.
#[must_use]
pub fn count_of(number: u64, noun: &str) -> String {
    if number == 1 {
        return format!("1 {noun}");
    }
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{number} {stem}ies"),
        _ if noun.ends_with("ch") => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_things() {
        for (number, noun, text) in [
            (1, "tick", "1 tick"),
            (0, "tick", "0 ticks"),
            (1, "entry", "1 entry"),
            (2, "entry", "2 entries"),
            (2, "day", "2 days"),
            (3, "batch", "3 batches"),
        ] {
            assert_eq!(count_of(number, noun), text);
        }
    }
}
