//! The ports: one small trait for each ability, each matching one permission in the cloud.
//!
//! A batch port reports the outcome of every position; success is never inferred from the success of
//! a call.

use std::collections::BTreeSet;

use async_trait::async_trait;
use domain::analytics::{Anomaly, Candle, PairState};
use domain::{Malformed, Pair, Rollout, RolloutChange, Tick, Token};
use serde::{Deserialize, Serialize};

use crate::ledger::LedgerEntry;

pub use crate::sequence::{SequenceNumber, SequenceNumberError};

/// A call that failed as a whole.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed")]
pub struct PortError {
    /// The operation, such as `store ticks`.
    pub operation: &'static str,
    /// Whether a retry may succeed.
    pub retryable: bool,
    /// The cause.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// One position of a batch that was refused, after the adapter's own retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Position in the batch.
    pub index: usize,
    /// The service's reason.
    pub reason: String,
}

/// A tick to store, or as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct CohortTick {
    /// The tick.
    pub tick: Tick,
    /// Whether it belongs to the stream. This is decided once, by the flag in force when the tick is
    /// first stored, and kept with the tick: a later delivery of the same tick does not change it.
    pub in_cohort: bool,
    /// Whether its source gave no time, so that its time is that of its receipt. A store identifies
    /// it by its id then, and keeps its first time. `false` for a tick as it is stored.
    pub arrival_stamped: bool,
}

/// The outcome of storing one tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// It is new, and stored durably.
    Stored,
    /// It was stored before, and nothing about it changed.
    Duplicate,
    /// It is not stored; the caller may retry.
    Refused,
}

/// Identifies an [`OutboxEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutboxId(pub u64);

/// The result of [`TickStore::put`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutReceipt {
    /// One outcome per tick, in the order given.
    pub outcomes: Vec<PutOutcome>,
    /// The delivery's outbox entry, if the store has an outbox: it is removed by
    /// [`LedgerWriter::commit`], and drained by way of [`Outbox`] after a crash.
    pub outbox_id: Option<OutboxId>,
    /// The positions of retimed ticks, with the time under which they are stored, in epoch milliseconds:
    /// arrival-stamped ticks that were stored before. Stream and broadcast must get them with that time.
    pub retimed: Vec<(usize, i64)>,
    /// The duplicates that belong to the stream and whose first offer is not known to have
    /// succeeded, as they are stored: they must be offered again. A store with an outbox has none,
    /// since the outbox keeps them.
    pub offer_again: Vec<Tick>,
}

/// Stores ticks; they are durable when the call returns.
#[async_trait]
pub trait TickStore: Send + Sync {
    /// Stores ticks. A tick that is already stored (see [`domain::Tick::identity`]) changes nothing.
    async fn put(&self, ticks: &[CohortTick]) -> Result<PutReceipt, PortError>;
}

/// Appends to the stream; ticks of one token keep their order.
#[async_trait]
pub trait TickStream: Send + Sync {
    /// Appends ticks durably and names those that were refused. If they belong to an outbox entry,
    /// and store and stream share a commit, the entry records in that commit that they were appended.
    async fn append(
        &self,
        ticks: &[&Tick],
        outbox_id: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError>;
}

/// A queue of ticks: the one for broadcast, or the one that retries refused ticks.
#[async_trait]
pub trait TickQueue: Send + Sync {
    /// Queues ticks and names those that were refused.
    async fn send(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError>;
}

/// Keeps malformed entries.
#[async_trait]
pub trait Quarantine: Send + Sync {
    /// Keeps malformed entries durably.
    async fn keep(&self, entries: &[Quarantined]) -> Result<(), PortError>;
}

/// A malformed entry, with its source and the time of its receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    /// When we received it, epoch milliseconds.
    pub received_at_ms: i64,
    /// The source in the URL, cut to 64 characters.
    pub source: String,
    /// The entry and the rule it breaks.
    pub entry: Malformed,
}

/// Counts deliveries in the ledger.
#[async_trait]
pub trait LedgerWriter: Send + Sync {
    /// Adds a delivery to the ledger counters and, in the same step, removes its outbox entry.
    async fn commit(
        &self,
        outbox_id: Option<OutboxId>,
        entry: LedgerEntry,
    ) -> Result<(), PortError>;

    /// Releases an outbox entry: its delivery has ended without committing it, and it may be
    /// drained. Until then, it belongs to the delivery. A store without an outbox has nothing to do.
    fn release(&self, _outbox_id: OutboxId) {}
}

/// Stored ticks whose delivery is not in the ledger counters yet.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEntry {
    /// Its id.
    pub id: OutboxId,
    /// The ticks that the stream lacks, and those that do not belong to it. The decision is missing
    /// if a release before 1.1 stored the tick.
    pub ticks: Vec<(Tick, Option<bool>)>,
    /// How many other ticks are in the stream.
    pub streamed: u64,
}

/// The outbox: entries whose delivery has ended without committing them, in an earlier process or by
/// [`LedgerWriter::release`]. Entries of deliveries in progress are not included.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The next released entries after `after`, or the first ones, oldest first. The number of ticks is
    /// bounded, but there is at least one entry, unless there are no more.
    async fn released(&self, after: Option<OutboxId>) -> Result<Vec<OutboxEntry>, PortError>;
}

/// The current rollout flag.
#[async_trait]
pub trait RolloutFlag: Send + Sync {
    /// The flag, which is cheap enough to read for every delivery. If it cannot be refreshed, the last
    /// valid value is used.
    async fn current(&self) -> Rollout;
}

/// Changes the rollout flag and remembers who, when and why.
#[async_trait]
pub trait RolloutStore: Send + Sync {
    /// Records a change, which is durable and in effect when the call returns.
    async fn change(&self, change: RolloutChange) -> Result<(), PortError>;
    /// The newest changes first.
    async fn history(&self, limit: usize) -> Result<Vec<RolloutChange>, PortError>;
}

/// The time.
pub trait Clock: Send + Sync {
    /// Milliseconds since the epoch.
    fn now_ms(&self) -> i64;
}

impl<F: Fn() -> i64 + Send + Sync> Clock for F {
    fn now_ms(&self) -> i64 {
        self()
    }
}

/// A tick in the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRecord {
    /// Its position in its shard.
    pub sequence: SequenceNumber,
    /// The tick.
    pub tick: Tick,
}

/// A pair's state with the last record that it includes: a record at or before it is a replay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredState {
    /// The last record that the state includes.
    pub last_sequence: SequenceNumber,
    /// The state.
    pub state: PairState,
}

/// A pair's state after a step of the analysis.
#[derive(Debug, Clone)]
pub struct StateChange {
    /// The pair.
    pub pair: Pair,
    /// The last record of the state before the step. If the stored state has a different one, another
    /// process has continued the analysis, and the step must not be stored.
    pub base: SequenceNumber,
    /// The state after the step.
    pub stored: StoredState,
}

/// What one step of the analysis changes. A pair's state, candles and corrections are stored all
/// or not at all, so a step that failed halfway can be folded again.
#[derive(Debug, Clone, Default)]
pub struct AnalysisCommit {
    /// The states after the step.
    pub states: Vec<StateChange>,
    /// The current candles, open or closed, which replace the stored ones.
    pub candles: Vec<Candle>,
    /// One-tick candles of late ticks, which are merged into the stored ones after `candles`. A candle
    /// gets one new revision per step, regardless of the number of late ticks.
    pub corrections: Vec<Candle>,
    /// Anomalies found.
    pub anomalies: Vec<Anomaly>,
    /// The number of late ticks within the allowed lateness.
    pub late: u64,
    /// The number of ticks beyond the allowed lateness.
    pub too_late: u64,
}

/// Keeps the state and the results of the analysis.
#[async_trait]
pub trait AnalyticsStore: Send + Sync {
    /// The states of pairs in a shard; `None` if a pair has none yet. A state that cannot be read is
    /// replaced by one that continues after the pair's stored candles: it never stops the others.
    async fn load(&self, shard: u8, pairs: &[Pair]) -> Result<Vec<Option<StoredState>>, PortError>;

    /// Stores a step, with `last` as the shard's checkpoint, and returns the merged corrected candles.
    async fn commit(
        &self,
        shard: u8,
        last: SequenceNumber,
        commit: AnalysisCommit,
    ) -> Result<Vec<Candle>, PortError>;
}

/// A subscription of a connection of the live API.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Every token.
    All,
    /// One token.
    Token(Token),
}

/// A connection and its topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watcher {
    /// The connection's id.
    pub connection: String,
    /// Its topics; at least one.
    pub topics: BTreeSet<Topic>,
}

/// The subscriptions of the live API. A connection that never disconnects expires.
#[async_trait]
pub trait Subscribers: Send + Sync {
    /// Adds topics to a connection, and creates it if it is unknown.
    async fn subscribe(&self, connection: &str, topics: &[Topic]) -> Result<(), PortError>;
    /// Removes topics from a connection.
    async fn unsubscribe(&self, connection: &str, topics: &[Topic]) -> Result<(), PortError>;
    /// Removes a connection with all its topics; an unknown one is not an error.
    async fn forget(&self, connection: &str) -> Result<(), PortError>;
    /// All connections with at least one topic. One that was added or removed a moment ago may be missing or
    /// still there.
    async fn watchers(&self) -> Result<Vec<Watcher>, PortError>;
}

/// The outcome of a message to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// It was sent.
    Sent,
    /// The connection no longer exists: remove it.
    Gone,
    /// The service throttled it: the message is lost, and a later one may get through.
    Throttled,
}

/// Sends to the connections of the live API.
#[async_trait]
pub trait Push: Send + Sync {
    /// Sends one message (at most 128 KiB) to one connection.
    async fn post(&self, connection: &str, message: &str) -> Result<Posted, PortError>;
}

/// The latest stored ticks of a token, one for each quote, for a new subscriber.
#[async_trait]
pub trait LatestTicks: Send + Sync {
    /// The latest ticks; none if the token had none in the last two UTC days.
    async fn latest(&self, token: &Token) -> Result<Vec<Tick>, PortError>;
}

/// Notifies people.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Sends a message with a subject (less than 100 ASCII characters; longer ones are cut).
    async fn notify(&self, subject: &str, text: &str) -> Result<(), PortError>;
}
