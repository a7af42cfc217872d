//! The error for what does not run on Athena.

use datafusion::sql::sqlparser::tokenizer::Span;

use crate::error::SqlError;
use crate::position::Position;

/// An error at a place of the statement.
pub(super) fn invalid(message: impl Into<String>, span: Span) -> SqlError {
    SqlError::Invalid {
        message: message.into(),
        position: Position::new(span.start.line, span.start.column),
    }
}

/// The error for what Athena has not.
pub(crate) fn refused(what: &str, instead: &str, span: Span) -> SqlError {
    invalid(format!("{what} does not run on Athena: {instead}"), span)
}

/// The outcome of a check.
pub(super) type Checked = Result<(), SqlError>;

/// As [`refused`], as the outcome of a check.
pub(super) fn refuse(what: &str, instead: &str, span: Span) -> Checked {
    Err(refused(what, instead, span))
}

/// What Athena has and the local engine has not.
pub(super) fn here_only(what: &str, instead: &str, span: Span) -> SqlError {
    let message = format!("{what} runs on Athena, but not on this engine: {instead}");
    invalid(message, span)
}
