//! The engine's messages in the words of SQL: types by their names there, and of what is wrapped in
//! the engine's own what it is about.

use super::error::Place;

/// What the Parquet reader says where a condition fails that it checks while it reads.
const OF_A_CONDITION: &str = "Error evaluating filter predicate: ";

/// What the engine says of a function that does not take the types that it is given.
const NO_MATCH: &str = "No function matches the given name and argument types '";

/// A number that a text does not have.
const NO_NUMBER: &str = "Cannot cast string '";

/// What the engine says of `substr` and `substring` with a text alone.
const NO_BOUNDS: &str = "Substring without for/from is not valid";

/// How a place begins in a part of the statement as Rust shows it for debugging.
const SHOWN_PLACE: &str = "Span(Location(";

/// Types as the engine names them, and as SQL does.
const TYPES: [(&str, &str); 22] = [
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
    ("Timestamp", "timestamp"),
    ("Interval", "interval"),
];

/// A message in the words of SQL. What it quotes stays as it is.
pub(super) fn in_sql(message: &str) -> String {
    if message.starts_with(NO_BOUNDS) {
        return "substr and substring take a text and where to begin, and may take a length: \
                substr(token, 1, 4)"
            .to_owned();
    }
    let message = before_shown(message);
    if let Some((_, call)) = message.split_once(NO_MATCH)
        && let Some((call, _)) = call.split_once("'.")
    {
        return format!("the function does not take these types: {}", types(call));
    }
    let mut text = types(message);
    if message.contains(NO_NUMBER) {
        text += ": a text that looks like a number stands in quotes (a parameter: of type varchar), and \
                 try_cast gives NULL where there is no number";
    }
    text
}

/// The place of the first part of a statement that a message shows for debugging.
pub(super) fn shown_place(message: &str) -> Option<Place> {
    let shown = message.split(SHOWN_PLACE).skip(1);
    let mut places = shown.filter_map(|shown| {
        let (line, column) = shown.split_once(')')?.0.split_once(',')?;
        Some(Place {
            line: line.trim().parse().ok()?,
            column: column.trim().parse().ok()?,
        })
    });
    // What the engine made up itself stands in line 0.
    places.find(|place| place.line > 0)
}

/// A message without the part of the statement that it shows for debugging.
fn before_shown(message: &str) -> &str {
    let Some((before, _)) = message.split_once(SHOWN_PLACE) else {
        return message;
    };
    // The first word of what is shown, `Value(…` or `Substring { …`, is that of a type.
    let mut words = before.match_indices(' ').filter(|(at, _)| {
        let rest = before
            .get(at + 1..)
            .unwrap_or_default()
            .trim_start_matches(['[', '(']);
        let name = rest.trim_start_matches(char::is_alphanumeric);
        rest.starts_with(char::is_uppercase) && (name.starts_with('(') || name.starts_with(" {"))
    });
    let start = words.next().map_or(0, |(at, _)| at);
    match before
        .get(..start)
        .unwrap_or_default()
        .trim_end_matches([':', ' '])
    {
        "" => "the engine does not take this expression",
        told => told,
    }
}

/// What failed, where the message is of a condition that the Parquet reader checked: that is the
/// query's failure, and none of a file.
pub(super) fn of_a_condition(message: &str) -> Option<String> {
    let (_, told) = message.split_once(OF_A_CONDITION)?;
    let inside = first_text(told).filter(|text| !text.is_empty());
    let text = inside.unwrap_or_else(|| match told.contains("DivideByZero") {
        true => "Divide by zero error".to_owned(),
        false => told.to_owned(),
    });
    Some(in_sql(&text))
}

/// The first text in double quotes of a value as Rust shows it for debugging.
fn first_text(shown: &str) -> Option<String> {
    let (_, quoted) = shown.split_once('"')?;
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

/// A text with the types' names of SQL.
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
            Some((_, name @ ("timestamp" | "interval"))) => {
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
            "Timestamp(ns) = Timestamp(ms, \"UTC\") and Interval(MonthDayNano), List(Int64)",
            "timestamp = timestamp and interval, List(bigint)",
        );
        check("it doesn't take Int32", "it doesn't take integer");
        check("'Int32' is no Int32", "'Int32' is no integer");
        check("MyInt32 of é", "MyInt32 of é");
        check("'never closed Int64", "'never closed Int64");
        check(
            "Failed to coerce arguments for 'sum'. No function matches the given name and argument types 'sum(Utf8View)'. You might need to add explicit type casts.\n\tCandidate functions:\n\tsum(x)",
            "the function does not take these types: sum(varchar)",
        );
    }

    #[test]
    fn what_is_shown_for_debugging_is_left_out() {
        let check = |message: &str, expected: &str, place| {
            assert_eq!(
                (in_sql(message).as_str(), shown_place(message)),
                (expected, place)
            );
        };
        let one = "Value(ValueWithSpan { value: Number(\"1\", false), span: Span(Location(0,0)..Location(0,0)) })";
        let two = "Identifier(Ident { value: \"x\", span: Span(Location(2,15)..Location(2,16)) })";
        let place = Some(Place {
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
            place,
        );
        check(
            &format!("{NO_BOUNDS} Substring {{ expr: {two}, special: false }}"),
            "substr and substring take a text and where to begin, and may take a length: substr(token, 1, 4)",
            place,
        );
        check(two, "the engine does not take this expression", place);
        check("Too many columns", "Too many columns", None);
    }

    #[test]
    fn a_condition_that_fails_says_what_failed() {
        let check = |told: &str, expected: &str| {
            let message = format!("External: Compute error: {OF_A_CONDITION}{told}");
            assert_eq!(of_a_condition(&message).unwrap(), expected);
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
            "{OF_A_CONDITION}ArrowError(CastError(\"Cannot cast string 'JUP' to value of Int64 type\"), Some(\"\"))"
        );
        let text = of_a_condition(&message).unwrap();
        assert!(
            text.starts_with("Cannot cast string 'JUP' to value of bigint type: a text"),
            "{text}"
        );
        assert_eq!(of_a_condition("EOF: a page is cut"), None);
    }
}
