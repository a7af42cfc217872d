//! The ports of the control plane: alarms, shards, and what arrives in the stream.

use app::ports::PortError;
use async_trait::async_trait;
use domain::Tick;

use crate::project_series::ProjectSeries;
use crate::stream_history::StreamHistory;

/// How a provisioned stream describes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// The number of open shards.
    pub open: u32,
    /// Whether it is neither being created nor changed, so that a change may be requested.
    pub is_active: bool,
}

/// What the service said to another number of shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resize {
    /// It will be reached later.
    Accepted,
    /// Not now, with the reason: another change is in progress, or a limit is reached. A later request may be accepted.
    Refused(String),
}

/// The shards of a provisioned stream.
#[async_trait]
pub trait Shards: Send + Sync {
    /// The current state.
    async fn describe(&self) -> Result<StreamState, PortError>;
    /// Requests another number of shards.
    async fn set(&self, count: u32) -> Result<Resize, PortError>;
}

/// The metrics of a provisioned stream.
#[async_trait]
pub trait StreamMetrics: Send + Sync {
    /// Those of the day before a time (epoch milliseconds), as far as there are any.
    async fn read(&self, now_ms: i64) -> Result<StreamHistory, PortError>;
}

/// The metrics of a project.
#[async_trait]
pub trait ProjectMetrics: Send + Sync {
    /// Those of the minutes between two times (epoch milliseconds), as far as there are any.
    async fn read(&self, from_ms: i64, to_ms: i64) -> Result<ProjectSeries, PortError>;
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
