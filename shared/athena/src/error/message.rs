//! Reads the service's messages: a position, a missing permission, an unknown name.

use super::Position;

/// Advice for failures, by a part of the service's message.
const ADVICE: [(&str, &str); 8] = [
    (
        "NoSuchKey",
        "files of the archive were replaced while it ran: run it again",
    ),
    (
        "HIVE_BAD_DATA",
        "a file of the archive cannot be read: move the named file out of the table's folder",
    ),
    (
        "HIVE_CANNOT_OPEN_SPLIT",
        "a file of the archive cannot be read: move the named file out of the table's folder",
    ),
    (
        "HIVE_CURSOR_ERROR",
        "a file of the archive cannot be read: move the named file out of the table's folder",
    ),
    (
        "exhausted resources",
        "it needs more memory than the service has: select fewer days, or group by fewer columns",
    ),
    (
        "EXCEEDED_MEMORY_LIMIT",
        "it needs more memory than the service has: select fewer days, or group by fewer columns",
    ),
    (
        "Query timeout",
        "the service cancels a query after 30 minutes: select fewer days",
    ),
    (
        "Incorrect number of parameters",
        "the number of parameters differs from the number of `?` in the statement",
    ),
];

/// The start of the part of a message that is not about the statement.
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

/// The message without what the service adds for AWS support.
pub(super) fn cleaned(message: &str) -> String {
    let message = message.split_once(TRAILER).map_or(message, |(of, _)| of);
    message.trim().trim_end_matches('.').to_owned()
}

/// The position in a message, such as `line 1:8:`.
pub(super) fn position_of(message: &str) -> Option<Position> {
    positions(message).next().map(|(_, _, position)| position)
}

pub(super) fn without_position(message: &str) -> String {
    match positions(message).next() {
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

/// Each `line N:M` of a message, with its start, its end and its position.
fn positions(message: &str) -> impl Iterator<Item = (usize, usize, Position)> {
    const WORD: &str = "line ";
    message.match_indices(WORD).filter_map(|(from, _)| {
        let rest = message.get(from + WORD.len()..)?;
        let (line, rest) = number(rest)?;
        let (column, after) = number(rest.strip_prefix(':')?)?;
        let to = message.len() - after.len();
        Some((from, to, Position { line, column }))
    })
}

fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, rest))
}
