//! What of the input is one statement, or one of the shell's own commands.

use std::io::{self, BufRead};

use super::words::of_line;
use crate::named::is_ended;

/// Whether nothing more is waited for: a statement goes on over lines until its semicolon.
pub(super) fn is_whole(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text.starts_with('\\') || of_line(text).is_some() || is_ended(text)
}

/// The next statement or command of an input that nobody types; `None` at its end. The last
/// statement ends with the input, where it has no semicolon.
pub(super) fn next(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut text = String::new();
    while input.read_line(&mut text)? > 0 {
        if is_whole(&text) {
            return Ok(Some(text));
        }
    }
    Ok((!is_of_comments(&text)).then_some(text))
}

/// Whether there are only blanks and comments, all closed.
fn is_of_comments(text: &str) -> bool {
    is_ended(&format!(";{text}")) && is_ended(&format!("{text}\n;"))
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
    fn what_holds_no_statement_is_none_at_the_end() {
        for rest in ["", "\n", "  ", "-- done", "-- done\n", "/* done; */\n"] {
            assert_eq!(
                all(&format!("SELECT 1;\n{rest}")).first().unwrap(),
                "SELECT 1;"
            );
            let none = all(rest).iter().all(String::is_empty);
            assert!(none, "{rest:?}");
        }
        // What is in a comment that nobody closed is told, and not dropped.
        assert_eq!(all("/* SELECT 1;\n"), ["/* SELECT 1;"]);
        assert_eq!(all("SELECT 'a;\n"), ["SELECT 'a;"]);
    }
}
