//! The engine's messages in terms of SQL.
//!
//! DataFusion and the Parquet reader pass some errors on as text, with Arrow's names of types, and with
//! parts of the statement and inner errors in Rust's debug form. No structured value is left, so the
//! text is parsed here, and nowhere else.

use crate::position::Position;

/// The Parquet reader's message for a predicate that fails while it reads.
const PREDICATE_FAILED: &str = "Error evaluating filter predicate: ";

/// The engine's message for a function that does not take the types of its arguments.
const NO_MATCH: &str = "No function matches the given name and argument types '";

/// The engine's message for a text that is not a number.
const NOT_A_NUMBER: &str = "Cannot cast string '";

/// The engine's message for `substr` and `substring` with only a text.
const NO_BOUNDS: &str = "Substring without for/from is not valid";

/// How a position begins in the debug form of a part of the statement.
const DEBUG_SPAN: &str = "Span(Location(";

/// The engine's message if temporary files would exceed their limit.
const SPILL_LIMIT: &str = "The used disk space during the spilling process has exceeded";

/// The engine's message for a subquery that it cannot make a join of.
const NO_JOIN: &str = "Physical plan does not support logical expression";

/// The engine's message if it lost the order of rows on the way: a column that UNION ALL makes of constants, one in each
/// branch, counts as ordered within each, and a join around it takes that away.
const NO_ORDER: &str = "does not satisfy order requirements";

/// The engine's message for `power(0, -1)`.
const POWER_OF_ZERO: &str = "zero raised to a negative power";

/// The engine's message for a map with a repeated key.
const REPEATED_KEY: &str = "map key must be unique";

/// The engine's message for two results of one expression.
const NO_TUPLE: &str = "Only identifiers and literals are supported in tuples";
const OUT_OF_NANOSECONDS: [&str; 3] = [
    "converted value exceeds the representable i64 range",
    "timestamp out of range",
    "Cannot cast to interval. Overflowing",
];
const TWICE: &str = "Projections require unique expression names";

/// Types as the engine names them, and as SQL does.
const TYPES: [(&str, &str); 24] = [
    ("Utf8", "varchar"),
    ("Utf8View", "varchar"),
    ("LargeUtf8", "varchar"),
    ("Binary", "varbinary"),
    ("BinaryView", "varbinary"),
    ("LargeBinary", "varbinary"),
    ("Boolean", "boolean"),
    ("Int8", "tinyint"),
    ("Int16", "smallint"),
    ("Int32", "integer"),
    ("Int64", "bigint"),
    ("UInt8", "tinyint"),
    ("UInt16", "smallint"),
    ("UInt32", "integer"),
    ("UInt64", "bigint"),
    ("Float32", "real"),
    ("Float64", "double"),
    ("Date32", "date"),
    ("Decimal128", "decimal"),
    ("Decimal256", "decimal"),
    ("Time32", "time"),
    ("Time64", "time"),
    ("Timestamp", "timestamp"),
    ("Interval", "interval"),
];

/// A message in terms of SQL. What it quotes stays as it is.
pub(crate) fn in_sql(message: &str) -> String {
    if message.starts_with(NO_BOUNDS) {
        return "substr and substring take a text and a start, and optionally a length: \
                substr(token, 1, 4)"
            .to_owned();
    }
    if message.starts_with(NO_JOIN) {
        return "this subquery or UNNEST, which refers to the statement around it, is not on this engine: \
                write a join with a subquery that has GROUP BY, or UNNEST of an array that a table has"
            .to_owned();
    }
    if message.contains(NO_ORDER) {
        return "this engine cannot order a join of UNION ALL of constants: write VALUES (…), (…) instead of it"
            .to_owned();
    }
    if message.contains(POWER_OF_ZERO) {
        return "0 to a negative power is Infinity on Athena, and not on this engine: \
                write if(x = 0, infinity(), power(x, y))"
            .to_owned();
    }
    if let Some((_, key)) = message.split_once(REPEATED_KEY) {
        let key = key.rsplit(' ').next().unwrap_or_default();
        return format!("the map has the key {key} twice: write GROUP BY the key first");
    }
    if message.starts_with(TWICE) {
        return "two results of one expression are not on this engine: name one of them, x AS y"
            .to_owned();
    }
    if OUT_OF_NANOSECONDS.iter().any(|it| message.contains(it)) {
        return "a time is outside of the years 1678 to 2261, which date_trunc, RANGE and the difference of times \
                have on this engine: leave it out with WHERE"
            .to_owned();
    }
    if message.contains(NO_TUPLE) {
        return "a tuple of expressions is not on this engine: write ROW(a, b)".to_owned();
    }
    let message = without_debug_form(message);
    if let Some((_, call)) = message.split_once(NO_MATCH)
        && let Some((call, _)) = call.split_once("'.")
    {
        return format!("{} has arguments of the wrong types", types(call));
    }
    let mut text = types(message);
    if message.contains(NOT_A_NUMBER) {
        text += ": put a text that looks like a number in quotes (as a parameter, declare it varchar); \
                 try_cast returns NULL if a text is not a number";
    }
    text
}

/// The position of the first part of a statement that a message shows in debug form.
pub(crate) fn debug_position(message: &str) -> Option<Position> {
    let mut positions = message.split(DEBUG_SPAN).skip(1).filter_map(|shown| {
        let (line, column) = shown.split_once(')')?.0.split_once(',')?;
        Some(Position {
            line: line.trim().parse().ok()?,
            column: column.trim().parse().ok()?,
        })
    });
    // What the engine generated itself is in line 0.
    positions.find(|position| position.line > 0)
}

/// A message up to the part of the statement that it shows in debug form.
fn without_debug_form(message: &str) -> &str {
    let Some((before, _)) = message.split_once(DEBUG_SPAN) else {
        return message;
    };
    // It begins with the name of a type: `Value(…` or `Substring { …`.
    let mut words = before.match_indices(' ').filter(|(at, _)| {
        let rest = before
            .get(at + 1..)
            .unwrap_or_default()
            .trim_start_matches(['[', '(']);
        let name = rest.trim_start_matches(char::is_alphanumeric);
        rest.starts_with(char::is_uppercase) && (name.starts_with('(') || name.starts_with(" {"))
    });
    let start = words.next().map_or(0, |(at, _)| at);
    let text = before.get(..start).unwrap_or_default();
    match text.trim_end_matches([':', ' ']) {
        "" => "the engine does not support this expression",
        text => text,
    }
}

/// What went wrong in a predicate that the Parquet reader checks: a failure of the query, not of a
/// file. The reader passes on the debug form of the error.
pub(crate) fn predicate_failure(message: &str) -> Option<String> {
    let (_, debug_form) = message.split_once(PREDICATE_FAILED)?;
    let inner = first_string(debug_form).filter(|text| !text.is_empty());
    let text = inner.unwrap_or_else(|| match debug_form.contains("DivideByZero") {
        true => "Divide by zero error".to_owned(),
        false => debug_form.to_owned(),
    });
    Some(in_sql(&text))
}

/// Whether temporary files reached their limit: the engine reports it as a failure of a file.
pub(crate) fn is_spill_limit(message: &str) -> bool {
    message.contains(SPILL_LIMIT)
}

/// The first string in a debug form.
fn first_string(debug_form: &str) -> Option<String> {
    let (_, quoted) = debug_form.split_once('"')?;
    let mut text = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                other => text.push(other),
            },
            char => text.push(char),
        }
    }
}

/// A text with SQL's names of the types.
fn types(text: &str) -> String {
    let mut named = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = |char: char| char.is_alphanumeric() || char == '_';
        let length = if word(first) {
            rest.find(|char| !word(char)).unwrap_or(rest.len())
        } else if first == '\'' && !named.ends_with(word) {
            // To the end of what is quoted; an apostrophe within a word quotes nothing.
            let end = rest.char_indices().skip(1).find(|(_, char)| *char == '\'');
            end.map_or(rest.len(), |(at, _)| at + 1)
        } else {
            first.len_utf8()
        };
        let (part, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = after;
        let mut known = TYPES.iter();
        match known.find(|(engines, _)| *engines == part) {
            Some((_, name @ ("time" | "timestamp" | "interval"))) => {
                named.push_str(name);
                // Its unit and zone.
                if let Some((_, after)) =
                    rest.strip_prefix('(').and_then(|unit| unit.split_once(')'))
                {
                    rest = after;
                }
            }
            Some((_, name)) => named.push_str(name),
            None => named.push_str(part),
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_their_names_in_sql() {
        let check = |message: &str, expected: &str| assert_eq!(in_sql(message), expected);
        check(
            "Cannot coerce arithmetic expression Float64 + Utf8View to valid types",
            "Cannot coerce arithmetic expression double + varchar to valid types",
        );
        check(
            "Timestamp(ns) = Timestamp(ms, \"UTC\") and Interval(MonthDayNano), List(Int64), Time64(ns)",
            "timestamp = timestamp and interval, List(bigint), time",
        );
        check("it doesn't take Int32", "it doesn't take integer");
        check("'Int32' is not Int32", "'Int32' is not integer");
        check("MyInt32 of é", "MyInt32 of é");
        check("'never closed Int64", "'never closed Int64");
        check(
            "Failed to coerce arguments for 'sum'. No function matches the given name and argument types 'sum(Utf8View)'. You might need to add explicit type casts.\n\tCandidate functions:\n\tsum(x)",
            "sum(varchar) has arguments of the wrong types",
        );
    }

    #[test]
    fn failures_of_the_engine_say_what_to_write() {
        for (message, expected) in [
            (
                "Plan: [\"SortPreservingMergeExec\"] does not satisfy order requirements: [p@0 ASC]",
                "VALUES",
            ),
            ("zero raised to a negative power is undefined", "infinity()"),
            (
                "map key must be unique, duplicate key found: 7",
                "the key 7 twice",
            ),
        ] {
            assert!(in_sql(message).contains(expected), "{message}");
        }
    }

    #[test]
    fn debug_forms_are_left_out() {
        let check = |message: &str, expected: &str, position| {
            assert_eq!(
                (in_sql(message).as_str(), debug_position(message)),
                (expected, position)
            );
        };
        let one = "Value(ValueWithSpan { value: Number(\"1\", false), span: Span(Location(0,0)..Location(0,0)) })";
        let two = "Identifier(Ident { value: \"x\", span: Span(Location(2,15)..Location(2,16)) })";
        let position = Some(Position {
            line: 2,
            column: 15,
        });
        check(
            &format!("Dot access not supported for non-string expr: {one}"),
            "Dot access not supported for non-string expr",
            None,
        );
        check(
            &format!("MAP not supported by ExprPlanner: [{one}, {two}]"),
            "MAP not supported by ExprPlanner",
            position,
        );
        check(
            &format!("{NO_BOUNDS} Substring {{ expr: {two}, special: false }}"),
            "substr and substring take a text and a start, and optionally a length: substr(token, 1, 4)",
            position,
        );
        check(two, "the engine does not support this expression", position);
        check("Too many columns", "Too many columns", None);
    }

    #[test]
    fn a_predicate_that_fails_says_what_failed() {
        let check = |failure: &str, expected: &str| {
            let message = format!("External: Compute error: {PREDICATE_FAILED}{failure}");
            assert_eq!(predicate_failure(&message).unwrap(), expected);
        };
        check(
            "ArrowError(DivideByZero, Some(\"\"))",
            "Divide by zero error",
        );
        check(
            "Execution(\"no base \\\"77\\\" \\\\ here\")",
            "no base \"77\" \\ here",
        );
        let message = format!(
            "{PREDICATE_FAILED}ArrowError(CastError(\"Cannot cast string 'JUP' to value of Int64 type\"), Some(\"\"))"
        );
        let text = predicate_failure(&message).unwrap();
        assert!(
            text.starts_with("Cannot cast string 'JUP' to value of bigint type: put a text"),
            "{text}"
        );
        assert_eq!(predicate_failure("EOF: a page is cut"), None);
    }
}
