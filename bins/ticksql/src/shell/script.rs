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
    while input.read_line(&mut text)? > 0 {
        if is_complete(&text) {
            return Ok(Some(text));
        }
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
