//! Statements and commands in an input: whether one is complete, and the next one of a script.

use std::io::{self, BufRead};

use super::meta_command::{MetaCommand, parse_bare_word};
use crate::sql_tokens::{is_blank, is_ended};

/// Whether an input needs no further line: a command, or a statement with its semicolon. `\q` leaves in
/// the middle of a statement, too.
pub(super) fn is_complete(input: &str) -> bool {
    let text = input.trim();
    text.is_empty()
        || text.starts_with('\\')
        || parse_bare_word(text).is_some()
        || is_quit(text)
        || is_ended(text)
}

/// Whether the last line of an input is `\q`.
pub(super) fn is_quit(input: &str) -> bool {
    let last = input.lines().last().unwrap_or_default();
    last.starts_with('\\') && parse_bare_word(last) == Some(MetaCommand::Quit)
}

/// The next statement or command of a script; `None` at its end. The last statement ends with the input
/// if it has no semicolon.
pub(super) fn next(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut text = String::new();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        let read = if text.is_empty() {
            // A byte order mark stands in front of the input, or of one of the files that were joined to it.
            domain::utf8_text(&line).map_err(io::Error::other)
        } else {
            std::str::from_utf8(&line).map_err(io::Error::other)
        };
        text.push_str(read?);
        if is_complete(&text) {
            return Ok(Some(text));
        }
        line.clear();
    }
    Ok((!is_blank(&text)).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &str) -> Vec<String> {
        let mut bytes = input.as_bytes();
        let found = std::iter::from_fn(|| next(&mut bytes).unwrap());
        found.map(|text| text.trim().to_owned()).collect()
    }

    #[test]
    fn a_statement_ends_with_its_semicolon_or_with_the_input() {
        assert_eq!(
            all("SELECT 1\n + 2;\n\\d ticks\nSELECT ';\n';\nSELECT 3"),
            ["SELECT 1\n + 2;", "\\d ticks", "SELECT ';\n';", "SELECT 3"]
        );
        assert_eq!(all("\\timing"), ["\\timing"]);
        assert_eq!(all("exit\nSELECT 1\nexit"), ["exit", "SELECT 1\nexit"]);
        assert_eq!(all("SELECT 1\n-- one\n\n"), ["SELECT 1\n-- one"]);
    }

    #[test]
    fn a_byte_order_mark_in_front_of_a_statement_is_skipped() {
        assert_eq!(
            all("\u{feff}SELECT 1;\n\u{feff}\\d ticks\n\u{feff}\\q\n"),
            ["SELECT 1;", "\\d ticks", "\\q"]
        );
        assert_eq!(
            all("SELECT\n\u{feff}1;\n\u{feff}"),
            ["SELECT\n\u{feff}1;", ""]
        );
        let mut utf_16 = &b"\xff\xfeS\0E\0"[..];
        let error = next(&mut utf_16).unwrap_err().to_string();
        assert!(error.contains("UTF-16"), "{error}");
        let mut invalid = &b"SELECT\n'\xff'"[..];
        assert!(next(&mut invalid).is_err());
    }

    #[test]
    fn a_statement_can_be_abandoned() {
        for input in ["SELECT 1\n\\q", "\\q", "SELECT 1;", "exit", ""] {
            assert!(is_complete(input), "{input}");
        }
        for input in ["SELECT 1", "SELECT 1\nq", "SELECT '\\q", "SELECT 1\n  \\q"] {
            assert!(!is_complete(input), "{input}");
        }
        assert!(is_quit("SELECT 1\n\\q") && !is_quit("SELECT 1;"));
    }

    #[test]
    fn trailing_comments_are_not_a_statement() {
        for rest in ["", "\n", "  ", "-- done", "-- done\n", "/* done; */\n"] {
            assert_eq!(
                all(&format!("SELECT 1;\n{rest}")).first().unwrap(),
                "SELECT 1;"
            );
            let none = all(rest).iter().all(String::is_empty);
            assert!(none, "{rest:?}");
        }
        // An open comment is reported, not dropped.
        assert_eq!(all("/* SELECT 1;\n"), ["/* SELECT 1;"]);
        assert_eq!(all("SELECT 'a;\n"), ["SELECT 'a;"]);
    }
}
