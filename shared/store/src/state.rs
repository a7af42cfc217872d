//! The small state that changes with every commit: positions and the ledger counters.

use app::ledger::LedgerEntry;
use domain::RolloutChange;
use serde::{Deserialize, Serialize};

use crate::keys::stream_block::SHARDS;

/// Positions and ledger counters. It is stored in the same commit as the data that it counts, so it is
/// consistent after a crash.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// The last sequence number of each shard; 0 before the first record.
    pub(crate) end_offsets: [u64; SHARDS as usize],
    /// The last outbox entry.
    pub(crate) outbox_entries: u64,
    /// The number of known pairs.
    pub(crate) pairs: u32,
    /// The number of rows in the store, counted when they are written.
    pub(crate) stored_rows: u64,
    /// The number of these rows that are in outbox entries.
    pub(crate) pending_rows: u64,
    /// The number of entries that were ever quarantined.
    pub(crate) quarantined: u64,
    /// The number of changes of the rollout.
    pub(crate) rollouts: u64,
    /// The last change of the flag; `None` before the first one.
    pub(crate) rollout: Option<RolloutChange>,
    /// The sum over committed deliveries.
    pub(crate) committed: LedgerEntry,
    /// The analysis's counts of late ticks, and of ticks beyond the allowed lateness.
    pub(crate) analysed_late: u64,
    /// See `analysed_late`.
    pub(crate) analysed_too_late: u64,
    /// Repeats that earlier releases counted; the stream holds each tick once.
    pub(crate) analysed_duplicates: u64,
    /// The number of rows that retention removed.
    pub(crate) expired_rows: u64,
}
