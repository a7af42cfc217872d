//! What the service's messages say: a place, a permission, a name that is not there.

use super::Place;

/// What can be done about failures, by a part of the service's message.
const ADVICE: [(&str, &str); 8] = [
    (
        "NoSuchKey",
        "files of the archive were replaced while it ran: run it again",
    ),
    (
        "HIVE_BAD_DATA",
        "a file of the archive cannot be read: move the one that is named out of the table's folder",
    ),
    (
        "HIVE_CANNOT_OPEN_SPLIT",
        "a file of the archive cannot be read: move the one that is named out of the table's folder",
    ),
    (
        "HIVE_CURSOR_ERROR",
        "a file of the archive cannot be read: move the one that is named out of the table's folder",
    ),
    (
        "exhausted resources",
        "it needs more memory than the service has: ask for fewer days, or group by less",
    ),
    (
        "EXCEEDED_MEMORY_LIMIT",
        "it needs more memory than the service has: ask for fewer days, or group by less",
    ),
    (
        "Query timeout",
        "the service runs a query for 30 minutes at most: ask for fewer days",
    ),
    (
        "Incorrect number of parameters",
        "the statement's parameters and `?` do not match",
    ),
];

/// Where the service's messages stop to be about the statement.
const TRAILER: &str = "This query ran against the ";

pub(super) fn is_denial(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "not authorized to perform",
        "access denied",
        "accessdenied",
        "insufficient permissions",
        "permission denied on s3",
        "status code: 403",
    ]
    .iter()
    .any(|part| message.contains(part))
}

pub(super) fn is_no_workgroup(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("workgroup") && message.contains("not found")
}

pub(super) fn is_missing(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let names_one = ["table ", "schema ", "database "]
        .iter()
        .any(|kind| message.contains(kind));
    ["table_not_found", "schema_not_found", "database not found"]
        .iter()
        .any(|code| message.contains(code))
        || (names_one && message.contains("does not exist") && !message.contains("function"))
}

pub(super) fn with_advice(message: &str) -> String {
    let advice = ADVICE.iter().find(|(part, _)| message.contains(part));
    match advice {
        Some((_, advice)) => format!("{message} ({advice})"),
        None => message.to_owned(),
    }
}

/// The message without what the service adds for its support.
pub(super) fn cleaned(message: &str) -> String {
    let message = message.split_once(TRAILER).map_or(message, |(of, _)| of);
    message.trim().trim_end_matches('.').to_owned()
}

/// `line 1:8:` of a message.
pub(super) fn place_of(message: &str) -> Option<Place> {
    places(message).next().map(|(_, _, place)| place)
}

pub(super) fn without_place(message: &str) -> String {
    match places(message).next() {
        Some((from, to, _)) => {
            let (before, after) = (message.get(..from), message.get(to..));
            format!(
                "{}{}",
                before.unwrap_or_default(),
                after.unwrap_or_default().trim_start_matches([':', ' '])
            )
        }
        None => message.to_owned(),
    }
}

/// Where `line N:M` stands in a message, and what it says.
fn places(message: &str) -> impl Iterator<Item = (usize, usize, Place)> {
    const WORD: &str = "line ";
    message.match_indices(WORD).filter_map(|(from, _)| {
        let rest = message.get(from + WORD.len()..)?;
        let (line, rest) = number(rest)?;
        let (column, after) = number(rest.strip_prefix(':')?)?;
        let to = message.len() - after.len();
        Some((from, to, Place { line, column }))
    })
}

fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, rest))
}
