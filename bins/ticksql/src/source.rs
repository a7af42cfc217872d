//! Finds a query: by name, in a file, on standard input, or on the command line itself.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, stdin};
use std::path::Path;

use query::{SQL_BYTES_MAX, suggestions};

use crate::cli_error::CliError;
use crate::named::{self, Query};

/// What some programs write in front of a text, of which it is not a part.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A query and where it comes from.
#[derive(Debug)]
pub(crate) struct Source {
    /// What to call it: its name, its file, or nothing for a statement.
    pub(crate) name: Option<String>,
    pub(crate) text: String,
    pub(crate) query: Query,
}

/// Finds what an argument means.
pub(crate) fn find(argument: Option<&str>, input: &mut dyn Read) -> Result<Source, CliError> {
    match argument {
        None if stdin().is_terminal() => Err(CliError::NoStatement),
        None | Some("-") => {
            let text = read(input).map_err(CliError::Input)?;
            of_text(None, text)
        }
        Some(text) => {
            if let Some(source) = named(text)? {
                return Ok(source);
            }
            let path = Path::new(text);
            if path.is_file() || path.extension().is_some_and(|ending| ending == "sql") {
                let content = File::open(path).and_then(|mut file| read(&mut file));
                let content = content.map_err(|error| CliError::File {
                    path: path.to_owned(),
                    error,
                })?;
                of_text(Some(text.to_owned()), content)
            } else if text.contains(char::is_whitespace) || text.is_empty() {
                // The shell puts the text of a file in here as it is: `ticksql "$(cat query.sql)"`.
                let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
                of_text(None, text.to_owned())
            } else {
                Err(unknown(text))
            }
        }
    }
}

/// The built-in query of a name.
pub(crate) fn named(name: &str) -> Result<Option<Source>, CliError> {
    named::text(name)
        .map(|text| of_text(Some(name.to_owned()), text))
        .transpose()
}

/// The error for an unknown name, with the names that could be meant.
pub(crate) fn unknown(name: &str) -> CliError {
    let names = named::names();
    CliError::NoQuery {
        name: name.to_owned(),
        suggestions: suggestions(name, names.iter().map(String::as_str)),
    }
}

/// The query of a text.
pub(crate) fn of_text(name: Option<String>, text: String) -> Result<Source, CliError> {
    if text.trim().is_empty() {
        return Err(CliError::NoStatement);
    }
    match Query::parse(&text) {
        Ok(query) => Ok(Source { name, text, query }),
        Err(error) => Err(CliError::Header {
            source_name: name.unwrap_or_else(|| "the statement".to_owned()),
            error,
        }),
    }
}

fn read(input: &mut dyn Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    // One byte more than is allowed, so that a longer text is refused rather than cut.
    input
        .take(SQL_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > SQL_BYTES_MAX {
        return Err(io::Error::other(format!(
            "a query has at most {SQL_BYTES_MAX} bytes"
        )));
    }
    domain::utf8_text(&bytes)
        .map(str::to_owned)
        .map_err(io::Error::other)
}
