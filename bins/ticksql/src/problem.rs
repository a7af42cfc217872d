//! What can go wrong, and with which exit code.

use std::io;

use arrow::error::ArrowError;
use local::sql::SqlError;

use crate::{EXIT_QUERY, EXIT_USAGE};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{0}")]
    Query(#[from] SqlError),
    #[error("no statement: give one as the argument, or `-` and the statement on standard input")]
    NoStatement,
    #[error("the statement on standard input cannot be read: {0}")]
    Input(io::Error),
    #[error("the answer cannot be written: {0}")]
    Output(io::Error),
    #[error("the answer cannot be shown: {0}")]
    Show(ArrowError),
    #[error("could not start: {0}")]
    Start(io::Error),
}

impl Problem {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoStatement | Self::Input(_) | Self::Query(SqlError::NoArchive(_)) => EXIT_USAGE,
            Self::Query(_) | Self::Output(_) | Self::Show(_) | Self::Start(_) => EXIT_QUERY,
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<ArrowError> for Problem {
    fn from(error: ArrowError) -> Self {
        if let ArrowError::IoError(_, error) = error {
            Self::Output(error)
        } else {
            Self::Show(error)
        }
    }
}
