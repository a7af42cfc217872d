//! An error together with the query that it is about.

use crate::cli_error::CliError;
use crate::position::excerpt;
use crate::source::Source;
use runtime::printable::printable;

/// An error, and the text that it is in.
pub(crate) struct QueryFailure {
    pub(crate) error: CliError,
    /// What the query is called, if it has a name, and its text.
    source: Option<(Option<String>, String)>,
    /// Whether it was already written to standard error.
    pub(crate) is_reported: bool,
}

impl From<CliError> for QueryFailure {
    fn from(error: CliError) -> Self {
        Self {
            error,
            source: None,
            is_reported: false,
        }
    }
}

impl QueryFailure {
    pub(crate) fn of(error: CliError, source: &Source) -> Self {
        Self {
            error,
            source: Some((source.name.clone(), source.text.clone())),
            is_reported: false,
        }
    }

    /// The same after it was written to standard error: only its exit code is left to report.
    pub(crate) fn reported(self) -> Self {
        Self {
            is_reported: true,
            ..self
        }
    }

    /// The message, with the line that it is about and a mark under the position. Values of the archive
    /// in it cannot control the terminal.
    pub(crate) fn message(&self) -> String {
        let position = self.error.position();
        let mut text = match &self.source {
            Some((Some(name), _)) if position.is_some() => {
                format!("ticksql: {name}: {}\n", self.error)
            }
            _ => format!("ticksql: {}\n", self.error),
        };
        if let (Some(position), Some((_, sql))) = (position, &self.source) {
            text += &excerpt(sql, position).unwrap_or_default();
        }
        printable(&text).into_owned()
    }
}
