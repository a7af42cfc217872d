//! The ports: one small trait an ability, each matching one permission in the cloud.
//!
//! A batch port answers for every position: what was refused is named, and success is never
//! assumed from a call that went through.

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
    /// Positions that are stored under another time than they came with, and that time in epoch
    /// milliseconds: ticks whose event time is our own clock, and that had come before. What goes
    /// on to stream and broadcast must carry it too.
    pub restamped: Vec<(usize, i64)>,
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

    /// Leaves a pending note to [`Outbox`]: its delivery has ended without settling it. Until
    /// then the note is the delivery's alone. A store that keeps no notes has nothing to do.
    fn leave(&self, _pending: PendingId) {}
}

/// What a delivery left between the store and the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingBatch {
    /// The note's id.
    pub id: PendingId,
    /// The stored ticks, and whether each is in the stream already.
    pub ticks: Vec<(Tick, InStream)>,
}

/// Whether a pending tick reached the stream before its delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InStream {
    /// It did: appending it again would double it.
    Yes,
    /// It did not.
    No,
}

/// The notes of stored ticks that were not yet offered to stream and broadcast, and whose delivery
/// has ended: in a process before this one, or by [`LedgerWriter::leave`]. Notes of deliveries under
/// way are not among them.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The next notes after `after`, or the first ones, oldest first; none where there are no
    /// more. An answer holds a bounded number of ticks, but at least one note. One caller at a
    /// time walks the notes. Dropping the call stops the reading.
    async fn pending(&self, after: Option<PendingId>) -> Result<Vec<PendingBatch>, PortError>;
}

/// The rollout flag as it stands now.
#[async_trait]
pub trait RolloutFlag: Send + Sync {
    /// The flag; reading it is cheap enough for every delivery. Where it cannot be read anew, the
    /// last good value holds.
    async fn current(&self) -> Rollout;
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

impl<F: Fn() -> i64 + Send + Sync> Clock for F {
    fn now_ms(&self) -> i64 {
        self()
    }
}

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

/// A pair's state after a step of the analysis.
#[derive(Debug, Clone)]
pub struct StateChange {
    /// Whose state it is.
    pub pair: Pair,
    /// The last record that the state held before the step: where the store holds another by now,
    /// somebody else has gone on from there, and the step must not be stored.
    pub base: SequenceNumber,
    /// The state after the step.
    pub stored: StoredState,
}

/// What one step of the analysis changes. A pair's state, candles and corrections are stored all
/// or not at all, so that a step that failed halfway can be folded again.
#[derive(Debug, Clone, Default)]
pub struct AnalysisCommit {
    /// The states after the step.
    pub states: Vec<StateChange>,
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
    /// Most corrections of one pair that a step may hold, where the store has such a limit: the
    /// analysis commits before it would hold more.
    fn corrections_per_pair_max(&self) -> usize {
        usize::MAX
    }

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

/// What a connection of the live API wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Every token.
    All,
    /// One token.
    Token(Token),
}

/// Who watches what on the live API. A connection that never says goodbye expires.
#[async_trait]
pub trait Subscribers: Send + Sync {
    /// Adds topics to a connection, which is known from then on.
    async fn subscribe(&self, connection: &str, topics: &[Topic]) -> Result<(), PortError>;
    /// Takes topics from a connection.
    async fn unsubscribe(&self, connection: &str, topics: &[Topic]) -> Result<(), PortError>;
    /// Forgets a connection with all its topics; an unknown one is no error.
    async fn forget(&self, connection: &str) -> Result<(), PortError>;
    /// The connections of each topic, in the order given.
    async fn watching(&self, topics: &[Topic]) -> Result<Vec<Vec<String>>, PortError>;
}

/// What became of a message to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// It is on its way.
    Sent,
    /// The connection is no more: forget it.
    Gone,
    /// Too much for now: the message is lost, and the next one may come later.
    Throttled,
}

/// Sends to the connections of the live API.
#[async_trait]
pub trait Push: Send + Sync {
    /// Sends one message (at most 128 KiB) to one connection.
    async fn post(&self, connection: &str, message: &str) -> Result<Posted, PortError>;
}

/// The latest stored ticks of a token, one a quote, for who has just come.
#[async_trait]
pub trait LatestTicks: Send + Sync {
    /// The latest ticks; none where the token had none in the last two UTC days.
    async fn latest(&self, token: &Token) -> Result<Vec<Tick>, PortError>;
}

/// Tells people.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Sends a message with a subject (at most 100 ASCII characters; longer ones are cut).
    async fn notify(&self, subject: &str, text: &str) -> Result<(), PortError>;
}
