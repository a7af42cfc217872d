//! The names that could be meant by an unknown one.

/// The most names that are suggested.
const NAMES_MAX: usize = 3;

/// The least similarity of a suggestion, from 0 to 1 (Jaro-Winkler, which counts letters that are left
/// out, changed or swapped, and favours a common beginning).
const SIMILARITY_MIN: f64 = 0.8;

/// The known names that could be meant by an unknown one, the most similar first.
#[must_use]
pub fn suggestions<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let unknown = unknown.to_lowercase();
    let mut similar: Vec<(f64, &str)> = known
        .map(|name| (strsim::jaro_winkler(&unknown, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .collect();
    similar.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    similar.dedup_by_key(|(_, name)| *name);
    let names = similar.into_iter().take(NAMES_MAX);
    names.map(|(_, name)| name.to_owned()).collect()
}

/// ``: did you mean `a` or `b`?``, or nothing if there is no suggestion.
#[must_use]
pub fn did_you_mean(suggestions: &[String]) -> String {
    if suggestions.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = suggestions.iter().map(|name| format!("`{name}`")).collect();
    format!(": did you mean {}?", quoted.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_suggested_and_others_are_not() {
        let check = |unknown: &str, expected: &[&str]| {
            let known = [
                "price_archive",
                "price_history",
                "ticks",
                "token",
                "ts",
                "timestamp",
                "candles",
                "gaps",
                "avg",
                "count",
            ];
            assert_eq!(
                suggestions(unknown, known.into_iter()),
                expected,
                "{unknown}"
            );
        };
        check("tokn", &["token"]);
        check("TOKEN", &["token"]);
        check("toekn", &["token"]);
        check("tick", &["ticks"]);
        check("price_histroy", &["price_history", "price_archive"]);
        check("price", &["price_archive", "price_history"]);
        check("candels", &["candles"]);
        check("cuont", &["count"]);
        check("/etc/passwd", &[]);
        check("selct", &[]);
    }

    #[test]
    fn the_question_names_them_all() {
        let check = |names: &[&str], expected: &str| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(did_you_mean(&names), expected);
        };
        check(&[], "");
        check(&["a"], ": did you mean `a`?");
        check(&["a", "b"], ": did you mean `a` or `b`?");
    }
}
