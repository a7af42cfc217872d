//! What is said of a function that there is not.

use datafusion::execution::SessionState;

use super::error::SqlError;
use super::nearest::nearest;
use super::session::FUNCTIONS_OFF;

/// How the engine's message of an unknown function begins.
const UNKNOWN: &str = "Invalid function '";

/// A function that makes a large value of a small one, as those of [`FUNCTIONS_OFF`]; the engine has
/// none of that name.
const SEQUENCE: &str = "sequence";

/// Functions of Athena that are not here, and what does instead.
const INSTEAD: [(&str, &str); 14] = [
    ("try", "write a condition, nullif or try_cast"),
    ("typeof", "arrow_typeof tells the engine's own type"),
    ("histogram", "write GROUP BY and count(*)"),
    ("map_agg", "write GROUP BY"),
    ("map", "write CASE"),
    ("format", "write concat and CAST(… AS varchar)"),
    ("json_parse", "json_extract_scalar takes the text itself"),
    ("json_extract", "json_extract_scalar gives a single value"),
    ("at_timezone", "all times are UTC"),
    ("with_timezone", "all times are UTC"),
    ("format_datetime", "write date_format"),
    ("parse_datetime", "write date_parse"),
    ("width_bucket", "write CASE or floor"),
    ("reduce", "write UNNEST and an aggregate"),
];

/// Says what is known of a function that there is not; other errors stay as they are.
pub(super) fn explained(error: SqlError, state: &SessionState) -> SqlError {
    if let SqlError::Invalid { message, place } = &error
        && let Some(name) = unknown(message)
    {
        return SqlError::Invalid {
            message: told(name, &names(state)),
            place: *place,
        };
    }
    error
}

/// The name that the engine does not know.
fn unknown(message: &str) -> Option<&str> {
    let (name, _) = message.strip_prefix(UNKNOWN)?.split_once('\'')?;
    Some(name)
}

fn told(name: &str, known: &[String]) -> String {
    let lower = name.to_lowercase();
    if lower == SEQUENCE || FUNCTIONS_OFF.contains(&lower.as_str()) {
        return format!("the function `{name}` is off (one call could take all memory)");
    }
    if let Some((_, instead)) = INSTEAD.iter().find(|(missing, _)| *missing == lower) {
        return format!("this engine has no function `{name}` ({instead})");
    }
    let near = nearest(name, known.iter().map(String::as_str));
    let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    match near.is_empty() {
        true => {
            format!("this engine has no function `{name}` (docs/sql.md lists those that it has)")
        }
        false => format!(
            "this engine has no function `{name}` (did you mean {}?)",
            near.join(" or ")
        ),
    }
}

/// The functions that there are.
fn names(state: &SessionState) -> Vec<String> {
    let scalars = state.scalar_functions().keys();
    let aggregates = state.aggregate_functions().keys();
    let windows = state.window_functions().keys();
    let mut names: Vec<String> = scalars.chain(aggregates).chain(windows).cloned().collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_proposed() {
        let known = [
            "trim",
            "gcd",
            "doy",
            "year",
            "list_cat",
            "date_trunc",
            "arrow_typeof",
        ];
        let known = known.map(str::to_owned);
        let check = |name: &str, expected: &str| assert_eq!(told(name, &known), expected);
        check(
            "LPAD",
            "the function `LPAD` is off (one call could take all memory)",
        );
        check(
            "sequence",
            "the function `sequence` is off (one call could take all memory)",
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

    #[test]
    fn the_name_stands_in_the_engines_message() {
        let check = |message: &str, expected| assert_eq!(unknown(message), expected);
        check("Invalid function 'try'.\nDid you mean 'doy'?", Some("try"));
        check("Cannot coerce", None);
    }
}
