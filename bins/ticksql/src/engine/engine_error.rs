//! Why there is no answer, and what became of a query that was stopped.

use crate::money::Bill;
use query::Position;

/// Why there is no answer; the kind decides the exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The statement is wrong, or failed while it ran.
    #[error("{message}")]
    Query {
        /// What is wrong, with the nearest names and the place in words.
        message: String,
        /// Its position in the statement that was sent.
        position: Option<Position>,
    },
    /// Called wrongly, or something that the engine needs is not there: no archive, no workgroup,
    /// no database. The message says what to do.
    #[error("{0}")]
    Usage(String),
    /// A limit of the workgroup or of this program stopped it.
    #[error("{0}")]
    Refused(String),
    /// `cancel` fired; who fired it knows why.
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
    /// The service's name for it.
    pub(crate) query_id: Option<String>,
    /// What it had read by then.
    pub(crate) scanned_bytes: u64,
    /// What that costs, where it costs something.
    pub(crate) bill: Option<Bill>,
    pub(crate) end: End,
}

/// How a query ended that was asked to stop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// It ended by that.
    #[default]
    Stopped,
    /// It had succeeded before: its answer is not read to the end.
    Succeeded,
    /// Nobody knows, for this reason: it may run on.
    Unknown(String),
}
