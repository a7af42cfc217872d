//! The names nearest to one that is unknown.

use datafusion::common::utils::datafusion_strsim::levenshtein;

/// Most names that are proposed.
const NAMES_MAX: usize = 3;

/// The known names that could be meant by an unknown one, the nearest first: those that differ in
/// less than half of their letters, or hold the unknown one.
#[must_use]
pub fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let unknown = unknown.to_lowercase();
    let mut found: Vec<(usize, &str)> = known
        .map(|name| (distance(&unknown, &name.to_lowercase()), name))
        .filter(|(distance, name)| distance * 2 < name.len().max(unknown.len()))
        .collect();
    found.sort_unstable();
    found.dedup_by_key(|(_, name)| *name);
    found
        .into_iter()
        .take(NAMES_MAX)
        .map(|(_, name)| name.to_owned())
        .collect()
}

fn distance(unknown: &str, known: &str) -> usize {
    let holds = |long: &str, short: &str| short.len() > 2 && long.contains(short);
    let holds = holds(known, unknown) || holds(unknown, known);
    if holds {
        1
    } else {
        levenshtein(unknown, known)
    }
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
            ];
            assert_eq!(nearest(unknown, known.into_iter()), expected, "{unknown}");
        };
        check("tokn", &["token"]);
        check("TOKEN", &["token"]);
        check("tick", &["ticks"]);
        check("price_histroy", &["price_history"]);
        check("/etc/passwd", &[]);
    }
}
