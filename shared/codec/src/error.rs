//! Why a stored record cannot be read.

use domain::{AmountError, MethodError, NameError, TickIdError};

/// Why bytes, a JSON text or a batch of columns is no tick.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The text is no JSON object with the columns of a tick.
    #[error("not a tick in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A record that a newer (or no) release of this program wrote.
    #[error("a record of version {found}; this release reads {readable}: upgrade it")]
    Version {
        /// The version in the record.
        found: String,
        /// The versions that can be read.
        readable: &'static str,
    },
    /// The record ends before its last field.
    #[error("the record is cut off in `{0}`")]
    Truncated(&'static str),
    /// Bytes are left over after the last field.
    #[error("{0} bytes follow the last field of the record")]
    Trailing(usize),
    /// A field holds a code or number that means nothing there.
    #[error("`{field}` holds {value}, which means nothing there")]
    Code {
        /// The field of the record.
        field: &'static str,
        /// What it holds.
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
    /// The id is none.
    #[error("`tick_id`: {0}")]
    Id(#[from] TickIdError),
    /// The method is none.
    #[error("`method`: {0}")]
    Method(#[from] MethodError),
    /// A batch of columns lacks one, or has it in another type.
    #[error("column `{0}` is missing or has another type than the table of columns says")]
    Column(&'static str),
    /// A required column holds NULL.
    #[error("column `{column}` is NULL in row {row}")]
    Null {
        /// The column.
        column: &'static str,
        /// The row, from 0.
        row: usize,
    },
    /// A double that no decimal of 28 digits stands for (infinite, not a number, too large).
    #[error("`{column}`: {value} is no amount")]
    Double {
        /// The column.
        column: &'static str,
        /// The double.
        value: f64,
    },
    /// More ticks than one batch of columns holds.
    #[error("{0} ticks are too many for one batch of columns: write them in parts")]
    BatchTooLarge(usize),
    /// Arrow refused the columns.
    #[cfg(feature = "columnar")]
    #[error("columns that do not fit together: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}
