//! The small state that moves with every commit: positions and the ledger counters.

use app::ledger::LedgerEntry;
use domain::RolloutChange;
use serde::{Deserialize, Serialize};

use crate::keys::stream_block::SHARDS;

/// Positions and ledger counters. It is stored in the same commit as what it counts, so that it is
/// right whenever the process is killed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// The last sequence number of each shard; 0 before the first record.
    pub(crate) end_offsets: [u64; SHARDS as usize],
    /// The last outbox entry.
    pub(crate) outbox_entries: u64,
    /// Pairs known.
    pub(crate) pairs: u32,
    /// Rows in the store, as they were written.
    pub(crate) stored_rows: u64,
    /// Of them, rows in outbox entries.
    pub(crate) pending_rows: u64,
    /// Entries ever quarantined.
    pub(crate) quarantined: u64,
    /// Changes of the rollout.
    pub(crate) rollouts: u64,
    /// The flag as it was last changed; `None` until the first change.
    pub(crate) rollout: Option<RolloutChange>,
    /// The sum over committed deliveries.
    pub(crate) committed: LedgerEntry,
    /// Late ticks, late ones beyond the lateness, and duplicates that the analysis saw.
    pub(crate) analysed_late: u64,
    /// See `analysed_late`.
    pub(crate) analysed_too_late: u64,
    /// See `analysed_late`.
    pub(crate) analysed_duplicates: u64,
    /// Rows that retention removed.
    pub(crate) expired_rows: u64,
}
