//! Why a stored record cannot be read.

use domain::{AmountError, MethodError, NameError, QualityError, TickIdError};

/// Why bytes, a JSON text or a batch of columns cannot be read as ticks.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The text is not a JSON object with the columns of a tick.
    #[error("not a tick in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A record that this release cannot read; a newer release may have written it.
    #[error(
        "the record has version {found}, but this release only reads {readable}: upgrade this \
             program"
    )]
    Version {
        /// The version in the record.
        found: String,
        /// The versions that can be read.
        readable: &'static str,
    },
    /// The record ends before its last field.
    #[error("the record ends inside `{0}`")]
    Truncated(&'static str),
    /// Bytes are left over after the last field.
    #[error("{0} bytes follow the last field of the record")]
    Trailing(usize),
    /// A field holds an invalid code or number.
    #[error("`{field}` holds {value}, which is not valid there")]
    Code {
        /// The field of the record.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A name breaks a rule of names.
    #[error("`{column}`: {source}")]
    Name {
        /// The column.
        column: &'static str,
        /// The rule.
        source: NameError,
    },
    /// A price or volume breaks a rule of amounts.
    #[error("`{column}`: {source}")]
    Amount {
        /// The column.
        column: &'static str,
        /// The rule.
        source: AmountError,
    },
    /// The id is not valid.
    #[error("`tick_id`: {0}")]
    Id(#[from] TickIdError),
    /// The method is not valid.
    #[error("`method`: {0}")]
    Method(#[from] MethodError),
    /// The quality is not valid.
    #[error("`quality`: {0}")]
    Quality(#[from] QualityError),
    /// A batch lacks a column, or the column has another type.
    #[error("column `{0}` is missing or has the wrong type")]
    Column(&'static str),
    /// A required column holds NULL.
    #[error("column `{column}` is NULL in row {row}")]
    Null {
        /// The column.
        column: &'static str,
        /// The row, from 0.
        row: usize,
    },
    /// A double that a decimal of 28 digits cannot represent (infinite, not a number, too large).
    #[error("`{column}`: {value} is not a valid amount")]
    Double {
        /// The column.
        column: &'static str,
        /// The double.
        value: f64,
    },
    /// More ticks than one batch of columns holds.
    #[error("{0} ticks are too many for one batch of columns: write them in several")]
    BatchTooLarge(usize),
    /// Arrow refused the columns.
    #[cfg(feature = "columnar")]
    #[error("the columns are inconsistent: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}
