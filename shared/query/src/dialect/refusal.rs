//! The error for what does not run on Athena.

use datafusion::sql::sqlparser::tokenizer::Span;

use crate::error::SqlError;
use crate::position::Position;

/// An error at a place of the statement.
pub(crate) fn refused(what: &str, instead: &str, span: Span) -> SqlError {
    SqlError::Invalid {
        message: format!("{what} does not run on Athena: {instead}"),
        position: Position::new(span.start.line, span.start.column),
    }
}
