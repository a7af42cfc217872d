//! The ports: one small trait an ability, each matching one permission in the cloud.
//!
//! A batch port answers for every position: what was refused is named, and success is never
//! assumed from a call that went through.

use std::fmt;

use async_trait::async_trait;
use domain::analytics::{Anomaly, Candle, PairState};
use domain::{Malformed, Rollout, Tick, Token};
use serde::{Deserialize, Serialize};

use crate::ledger::LedgerEntry;
use crate::rollout::RolloutChange;

/// A call that failed as a whole.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed")]
pub struct PortError {
    /// What was tried, such as `store ticks`.
    pub operation: &'static str,
    /// Whether the same call may go through later.
    pub retryable: bool,
    /// The cause.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// One position of a batch that was not taken, after the adapter's own retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Position in the batch.
    pub index: usize,
    /// What the service said.
    pub reason: String,
}

/// What became of one tick that was put into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// It is stored durably, and was not before as far as the store can tell.
    Stored,
    /// It was stored before.
    Duplicate,
    /// It is not stored; the caller may try again.
    Refused,
}

/// The store's note that ticks are stored but not yet offered to stream and broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PendingId(pub u64);

/// The answer to [`TickStore::put`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutReceipt {
    /// One outcome a tick, in the order given.
    pub outcomes: Vec<PutOutcome>,
    /// Where the store keeps a note of what is pending, its id: the note is dropped by
    /// [`LedgerWriter::settle`], and worked off by [`Outbox`] after a crash.
    pub pending: Option<PendingId>,
}

/// Stores ticks; they are durable when the call returns.
#[async_trait]
pub trait TickStore: Send + Sync {
    /// Stores ticks. A tick with a stored `(token, timestamp, tick_id)` changes nothing.
    async fn put(&self, ticks: &[&Tick]) -> Result<PutReceipt, PortError>;
}

/// Appends to the stream; ticks of one token keep their order.
#[async_trait]
pub trait TickStream: Send + Sync {
    /// Appends ticks durably and names those that were refused.
    async fn append(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError>;
}

/// A queue of ticks: the one for broadcast, or the one that brings refused ticks back.
#[async_trait]
pub trait TickQueue: Send + Sync {
    /// Queues ticks durably and names those that were refused.
    async fn send(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError>;
}

/// Keeps what could not become a tick.
#[async_trait]
pub trait Quarantine: Send + Sync {
    /// Keeps malformed entries durably.
    async fn keep(&self, entries: &[Quarantined]) -> Result<(), PortError>;
}

/// A malformed entry with where and when it came in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    /// When we received it, epoch milliseconds.
    pub received_at_ms: i64,
    /// The source in the URL, cut to 64 characters.
    pub source: String,
    /// The entry and the rule it breaks.
    pub entry: Malformed,
}

/// Writes down what became of a delivery.
#[async_trait]
pub trait LedgerWriter: Send + Sync {
    /// Adds an entry to the ledger and, in the same step, drops the store's pending note.
    async fn settle(&self, pending: Option<PendingId>, entry: LedgerEntry)
    -> Result<(), PortError>;
}

/// What a crash left between the store and the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingBatch {
    /// The note's id.
    pub id: PendingId,
    /// The stored ticks, and whether each is in the stream already.
    pub ticks: Vec<(Tick, InStream)>,
}

/// Whether a pending tick reached the stream before the crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InStream {
    /// It did: appending it again would double it.
    Yes,
    /// It did not.
    No,
}

/// The notes of stored ticks that were not yet offered to stream and broadcast.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Notes written before `before_ms` (epoch milliseconds), oldest first.
    async fn pending(&self, before_ms: i64) -> Result<Vec<PendingBatch>, PortError>;
}

/// The rollout flag as it stands now.
pub trait RolloutFlag: Send + Sync {
    /// The flag; reading it is cheap enough for every delivery.
    fn current(&self) -> Rollout;
}

/// Changes the rollout flag and remembers who, when and why.
#[async_trait]
pub trait RolloutStore: Send + Sync {
    /// Records a change; it is in force, and durable, when the call returns.
    async fn change(&self, change: RolloutChange) -> Result<(), PortError>;
    /// The newest changes first.
    async fn history(&self, limit: usize) -> Result<Vec<RolloutChange>, PortError>;
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since the epoch.
    fn now_ms(&self) -> i64;
}

/// A token and what its price is in: what averages and candles are made for, since prices in
/// different quotes do not mix.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair {
    /// What is priced.
    pub token: Token,
    /// What the price is in.
    pub quote: Token,
}

impl Pair {
    /// The pair of a tick.
    #[must_use]
    pub fn of(tick: &Tick) -> Self {
        Self {
            token: tick.token.clone(),
            quote: tick.quote.clone(),
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.token, self.quote)
    }
}

/// A position in a shard of the stream; later records have larger ones.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct SequenceNumber(pub u64);

/// A tick in the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRecord {
    /// Its place in its shard.
    pub sequence: SequenceNumber,
    /// The tick.
    pub tick: Tick,
}

/// A pair's state with the last record that went into it: a record at or before it is a replay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredState {
    /// The last record that the state holds.
    pub last_sequence: SequenceNumber,
    /// The state.
    pub state: PairState,
}

/// What one step of the analysis changes; stored all or not at all.
#[derive(Debug, Clone, Default)]
pub struct AnalysisCommit {
    /// The states after the step.
    pub states: Vec<(Pair, StoredState)>,
    /// Candles as they stand now, open or closed: they replace the stored ones.
    pub candles: Vec<Candle>,
    /// One-tick candles of late ticks: merged into the stored ones after `candles`. A candle gets
    /// one more revision a step, however many late ticks it takes in.
    pub corrections: Vec<Candle>,
    /// Anomalies found.
    pub anomalies: Vec<Anomaly>,
    /// Ticks that came late but inside the allowed lateness.
    pub late: u64,
    /// Ticks that came later than that.
    pub too_late: u64,
    /// Ticks that had been seen.
    pub duplicates: u64,
}

/// Keeps the state and the results of the analysis.
#[async_trait]
pub trait AnalyticsStore: Send + Sync {
    /// The states of pairs in a shard; `None` where a pair has none yet.
    async fn load(&self, shard: u8, pairs: &[Pair]) -> Result<Vec<Option<StoredState>>, PortError>;

    /// Stores a step, with `last` as the shard's checkpoint, and answers the corrected candles
    /// as they stand after merging.
    async fn commit(
        &self,
        shard: u8,
        last: SequenceNumber,
        commit: AnalysisCommit,
    ) -> Result<Vec<Candle>, PortError>;
}
