//! The errors of a query, and the state of a query that was stopped.

use crate::athena_bill::Bill;
use query::Position;

/// An error of a query. Its kind decides the exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The statement is wrong, or failed while it ran.
    #[error("{message}")]
    Query {
        /// What is wrong, with suggestions and the position in words.
        message: String,
        /// Its position in the statement that was sent.
        position: Option<Position>,
    },
    /// Wrong usage, or something that the engine needs is missing: no archive, no workgroup,
    /// no database. The message says what to do.
    #[error("{0}")]
    Usage(String),
    /// A limit of the workgroup or of this program stopped it.
    #[error("{0}")]
    Refused(String),
    /// `cancel` fired; the caller knows why.
    #[error("the query was cancelled")]
    Cancelled(Cancelled),
    /// Somebody else stopped it.
    #[error("{0}")]
    StoppedElsewhere(String),
    /// Credentials, permissions, throttling, the network, the service itself. The message says
    /// what to do.
    #[error("{0}")]
    Service(String),
}

/// A query that was asked to stop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cancelled {
    /// The service's id of it.
    pub(crate) query_id: Option<String>,
    /// What it had read by then.
    pub(crate) scanned_bytes: u64,
    /// Its cost, if it has one.
    pub(crate) bill: Option<Bill>,
    pub(crate) end: End,
}

/// How a query ended that was asked to stop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// It was stopped.
    #[default]
    Stopped,
    /// It had already succeeded: its answer is not read to the end.
    Succeeded,
    /// Unknown, for this reason: it may still run.
    Unknown(String),
}
