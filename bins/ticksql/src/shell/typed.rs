//! A statement as it is typed: line by line, until its semicolon.

use rustyline::error::ReadlineError;

use super::statements::is_whole;
use super::words::{Word, of_line};

const PROMPT: &str = "ticksql> ";

/// Before the further lines of a statement that has not ended.
const PROMPT_FURTHER: &str = "    ...> ";

/// The next statement or command; `None` where the user leaves. `read` reads a line behind a prompt.
/// Ctrl-C takes back what was typed, and `\q` leaves in the middle of a statement, too.
pub(super) fn next(
    mut read: impl FnMut(&str) -> Result<String, ReadlineError>,
) -> Result<Option<String>, ReadlineError> {
    let mut text = String::new();
    loop {
        let prompt = if text.is_empty() {
            PROMPT
        } else {
            PROMPT_FURTHER
        };
        match read(prompt) {
            Ok(line) if line.starts_with('\\') && of_line(&line) == Some(Word::Quit) => {
                return Ok(None);
            }
            Ok(line) => text.push_str(&line),
            Err(ReadlineError::Interrupted) => {
                text.clear();
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(None),
            Err(error) => return Err(error),
        }
        if is_whole(&text) {
            return Ok(Some(text));
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types lines (`None` is Ctrl-C), and tells what came of it and the prompts.
    fn typed(lines: &[Option<&str>]) -> (Option<String>, Vec<String>) {
        let (mut lines, mut prompts) = (lines.iter(), Vec::new());
        let text = next(|prompt| {
            prompts.push(prompt.to_owned());
            match lines.next() {
                Some(Some(line)) => Ok((*line).to_owned()),
                Some(None) => Err(ReadlineError::Interrupted),
                None => Err(ReadlineError::Eof),
            }
        });
        (text.unwrap(), prompts)
    }

    #[test]
    fn a_further_line_has_a_prompt_of_its_own() {
        let (text, prompts) = typed(&[Some("SELECT 1"), Some("  + 2;")]);
        assert_eq!(text.as_deref(), Some("SELECT 1\n  + 2;"));
        assert_eq!(prompts, [PROMPT, PROMPT_FURTHER]);
    }

    #[test]
    fn ctrl_c_takes_back_all_lines_and_leaving_drops_them() {
        let (text, prompts) = typed(&[Some("SELECT 1"), None, Some("quit")]);
        assert_eq!(text.as_deref(), Some("quit"));
        assert_eq!(prompts, [PROMPT, PROMPT_FURTHER, PROMPT]);
        for lines in [&[Some("SELECT 1"), Some("\\q")][..], &[Some("SELECT 1")]] {
            assert_eq!(typed(lines).0, None, "{lines:?}");
        }
    }
}
