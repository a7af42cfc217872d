//! Numbers in sentences.

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

/// A length of time as people say it: `40 s`, `12 min`, `3 h`, `9 days`.
#[must_use]
pub fn duration(ms: i64) -> String {
    let seconds = ms.max(0) / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
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

    #[test]
    fn a_length_of_time_has_one_unit() {
        for (ms, text) in [
            (-5, "0 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 days"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }
}
