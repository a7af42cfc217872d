//! The names nearest to one that is unknown.

use std::cmp::Reverse;

use strsim::osa_distance;

/// Most names that are proposed.
const NAMES_MAX: usize = 3;

/// Of so many letters one may be wrong.
const LETTERS_A_SLIP: usize = 3;

/// The shortest name that is looked for within another.
const PART_LETTERS_MIN: usize = 3;

/// How a name is near another one, the nearest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Near {
    /// Typed with slips: their number, and the longer name before the shorter one, since letters are
    /// left out more often than added.
    Slips(usize, Reverse<usize>),
    /// One holds the other: at its beginning or not, and the letters besides.
    Part(Where, usize),
    /// The known one is an abbreviation, as `avg` is of `average`: the letters left out.
    Short(usize),
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Where {
    AtTheBeginning,
    Within,
}

/// The known names that could be meant by an unknown one, the nearest first: those that differ in at
/// most a third of their letters, then those that hold the unknown one or are held by it. An
/// abbreviation of it is proposed where there is nothing else.
#[must_use]
pub fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let unknown = unknown.to_lowercase();
    let mut found: Vec<(Near, &str)> = known
        .filter_map(|name| Some((near(&unknown, &name.to_lowercase())?, name)))
        .collect();
    found.sort_unstable();
    found.dedup_by_key(|(_, name)| *name);
    if let Some((Near::Slips(..) | Near::Part(..), _)) = found.first() {
        found.retain(|(near, _)| !matches!(near, Near::Short(_)));
    }
    found
        .into_iter()
        .take(NAMES_MAX)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// How a known name is near an unknown one, if it is.
fn near(unknown: &str, known: &str) -> Option<Near> {
    let (asked, letters) = (unknown.chars().count(), known.chars().count());
    let slips = osa_distance(unknown, known);
    if slips * LETTERS_A_SLIP <= asked.max(letters) {
        return Some(Near::Slips(slips, Reverse(letters)));
    }
    let (short, long) = match asked < letters {
        true => (unknown, known),
        false => (known, unknown),
    };
    let besides = asked.abs_diff(letters);
    if asked.min(letters) >= PART_LETTERS_MIN && long.contains(short) {
        let place = match long.starts_with(short) {
            true => Where::AtTheBeginning,
            false => Where::Within,
        };
        return Some(Near::Part(place, besides));
    }
    let is_short = (PART_LETTERS_MIN..asked).contains(&letters)
        && letters * LETTERS_A_SLIP >= asked
        && abbreviates(known, unknown);
    is_short.then_some(Near::Short(besides))
}

/// Whether the letters of a short name are, in their order, in a long one that begins alike.
fn abbreviates(short: &str, long: &str) -> bool {
    let mut rest = long.chars();
    short.chars().next() == long.chars().next()
        && short
            .chars()
            .all(|letter| rest.any(|other| other == letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_comes_first() {
        let check = |unknown: &str, expected: &[&str]| {
            let known = [
                "price_archive",
                "price_history",
                "ticks",
                "token",
                "ts",
                "timestamp",
                "to",
                "candles",
                "gaps",
            ];
            assert_eq!(nearest(unknown, known.into_iter()), expected, "{unknown}");
        };
        check("tokn", &["token"]);
        check("TOKEN", &["token"]);
        check("toekn", &["token"]);
        check("tick", &["ticks"]);
        check("price_histroy", &["price_history"]);
        check("price", &["price_archive", "price_history"]);
        check("candels", &["candles"]);
        check("ticks_of_today", &["ticks"]);
        check("/etc/passwd", &[]);
    }

    #[test]
    fn slips_come_before_parts_and_abbreviations_last() {
        let check = |unknown: &str, expected: &[&str]| {
            let known = [
                "approx_percentile_cont",
                "approx_percentile_cont_with_weight",
                "array_contains",
                "avg",
                "contains",
                "cot",
                "count",
                "regr_avgx",
                "split",
                "var",
            ];
            assert_eq!(nearest(unknown, known.into_iter()), expected, "{unknown}");
        };
        check("cont", &["count", "cot", "contains"]);
        check("cuont", &["count"]);
        check("count_distinct", &["count"]);
        check("avrage", &["avg"]);
        check("average", &["avg"]);
        check("selct", &[]);
    }
}
