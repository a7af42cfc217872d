//! The ports of the control plane: alarms, shards, and what arrives in the stream.

use app::ports::PortError;
use async_trait::async_trait;
use domain::Tick;

/// The shards of a provisioned stream.
#[async_trait]
pub trait Shards: Send + Sync {
    /// The number of open shards.
    async fn open_count(&self) -> Result<u32, PortError>;
    /// Requests another number of shards, which the service reaches later.
    async fn set(&self, count: u32) -> Result<(), PortError>;
}

/// The alarms of the project.
#[async_trait]
pub trait Alarms: Send + Sync {
    /// The current states.
    async fn states(&self) -> Result<AlarmStates, PortError>;
}

/// The states of the project's alarms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlarmStates {
    /// The number of alarms that the project has. Without any, silence proves nothing.
    pub watched: usize,
    /// The names of those in ALARM, sorted, as in each of these lists.
    pub on: Vec<String>,
    /// Those that were not evaluated yet.
    pub undecided: Vec<String>,
    /// Those of the templates that the project does not have.
    pub missing: Vec<String>,
    /// Those whose state nobody can see, since an emulator does not evaluate alarms.
    pub unseen: Vec<String>,
}

/// A tick that arrived in the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// When the stream accepted it, epoch milliseconds.
    pub arrived_ms: i64,
    /// The tick.
    pub tick: Tick,
}

/// What one poll of the stream returned.
#[derive(Debug, Clone, PartialEq)]
pub struct Poll {
    /// What arrived since the last poll.
    pub arrivals: Vec<Arrival>,
    /// Whether that is everything: a busy stream may hold more than one poll reads.
    pub caught_up: bool,
}

/// Watches what arrives in the stream.
#[async_trait]
pub trait Arrivals: Send {
    /// Starts, or starts over, with what arrived at a time (epoch milliseconds) or later.
    async fn watch_from(&mut self, from_ms: i64) -> Result<(), PortError>;
    /// What arrived since the last poll; the call is bounded in time, also under load. Nothing is
    /// returned before [`Arrivals::watch_from`].
    async fn poll(&mut self) -> Result<Poll, PortError>;
}
