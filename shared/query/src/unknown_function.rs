//! The error for a function that this engine does not have.

use std::collections::BTreeSet;

use crate::dialect::signatures;
use crate::error::SqlError;
use crate::position::Position;
use crate::suggestions::{did_you_mean, suggestions};

/// Functions of Athena that build a large value from a small one: the memory limit counts what operators hold, not single
/// values, and one call could take all of the machine's memory.
const TOO_LARGE: [&str; 2] = ["lpad", "rpad"];

/// Functions of Athena and of other engines that are not here, and what to write instead.
const INSTEAD: [(&str, &str); 42] = [
    ("try", "write a condition, nullif or try_cast"),
    (
        "approx_most_frequent",
        "write GROUP BY, ORDER BY count(*) DESC and LIMIT",
    ),
    ("format_number", "write CAST(x AS varchar)"),
    ("soundex", "write levenshtein_distance"),
    ("hamming_distance", "write levenshtein_distance"),
    ("normalize", "compare texts as they are stored"),
    (
        "current_user",
        "the local engine has no users: leave it out",
    ),
    ("json_value", "write json_extract_scalar(json, '$.key')"),
    (
        "json_query",
        "write json_extract_scalar for each value of it",
    ),
    (
        "json_exists",
        "write json_extract_scalar(json, '$.key') IS NOT NULL",
    ),
    ("json_size", "json_extract_scalar returns a single value"),
    ("format", "write concat and CAST(… AS varchar)"),
    ("json_parse", "json_extract_scalar takes the text itself"),
    ("json_extract", "json_extract_scalar returns a single value"),
    ("parse_datetime", "write date_parse"),
    ("reduce", "write UNNEST and an aggregate"),
    ("nvl", "write coalesce"),
    ("ifnull", "write coalesce"),
    ("median", "write approx_percentile(x, 0.5)"),
    ("percentile_cont", "write approx_percentile(x, 0.5)"),
    ("approx_percentile_cont", "write approx_percentile(x, 0.5)"),
    (
        "string_agg",
        "write listagg(x, ',') WITHIN GROUP (ORDER BY y)",
    ),
    ("to_timestamp", "write from_unixtime"),
    ("date_part", "write extract(HOUR FROM x), or hour(x)"),
    ("char_length", "write length"),
    ("character_length", "write length"),
    ("octet_length", "write length(to_utf8(x))"),
    ("left", "write substr(x, 1, n)"),
    ("right", "write substr(x, -n)"),
    ("array_length", "write cardinality"),
    ("to_char", "write date_format"),
    ("strftime", "write date_format"),
    ("trunc", "write truncate"),
    ("isnan", "write is_nan"),
    ("generate_series", "write sequence"),
    ("range", "write sequence"),
    ("regexp_match", "write regexp_extract"),
    ("arrow_typeof", "write typeof"),
    ("signum", "write sign"),
    ("btrim", "write trim"),
    ("first", "write min_by(x, ts)"),
    ("last", "write max_by(x, ts)"),
];

/// The error of a function that is not here.
pub(crate) fn error(name: &str, position: Option<Position>) -> SqlError {
    let known: BTreeSet<&str> = signatures::names().collect();
    SqlError::Invalid {
        message: message(name, &known),
        position,
    }
}

fn message(name: &str, known: &BTreeSet<&str>) -> String {
    let lower = name.to_lowercase();
    if TOO_LARGE.contains(&lower.as_str()) {
        return format!("the function `{name}` is disabled (one call could use all memory)");
    }
    let similar = suggestions(name, known.iter().copied());
    let help = match INSTEAD.iter().find(|(missing, _)| *missing == lower) {
        Some((_, instead)) => (*instead).to_owned(),
        None if similar.is_empty() => "docs/sql.md lists those that it has".to_owned(),
        None => did_you_mean(&similar).trim_start_matches(": ").to_owned(),
    };
    format!("this engine has no function `{name}` ({help})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_to_do() {
        let known = BTreeSet::from(["trim", "gcd", "doy", "year", "date_trunc", "arrow_typeof"]);
        let check = |name: &str, expected: &str| assert_eq!(message(name, &known), expected);
        check(
            "LPAD",
            "the function `LPAD` is disabled (one call could use all memory)",
        );
        check(
            "try",
            "this engine has no function `try` (write a condition, nullif or try_cast)",
        );
        check(
            "date_trunk",
            "this engine has no function `date_trunk` (did you mean `date_trunc`?)",
        );
        check(
            "no_such_function",
            "this engine has no function `no_such_function` (docs/sql.md lists those that it has)",
        );
    }
}
