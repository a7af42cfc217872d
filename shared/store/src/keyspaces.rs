//! The keyspaces of the embedded store and their settings.

use std::sync::Arc;

use fjall::compaction::Leveled;
use fjall::{
    AbstractTree as _, CompressionType, Database, Keyspace, KeyspaceCreateOptions, config,
};

use crate::error::StorageError;
use crate::keys;
use crate::keys::outbox_entry::Entry;
use crate::keys::stream_block::SHARDS;

/// Every keyspace; what each holds is in [`crate::keys`].
#[derive(Clone)]
pub(crate) struct Keyspaces {
    pub(crate) ticks: Keyspace,
    pub(crate) arrival_stamped: Keyspace,
    pub(crate) pairs: Keyspace,
    /// Which event days the rows of a day have.
    pub(crate) days: Keyspace,
    pub(crate) outbox: Keyspace,
    /// A keyspace for each shard, so keys are ascending, and compaction moves files instead of
    /// merging them.
    pub(crate) stream: [Keyspace; SHARDS as usize],
    pub(crate) quarantine: Keyspace,
    pub(crate) states: Keyspace,
    pub(crate) candles: Keyspace,
    pub(crate) anomalies: Keyspace,
    pub(crate) anomaly_marks: Keyspace,
    pub(crate) rollouts: Keyspace,
    pub(crate) meta: Keyspace,
    memtables: Memtables,
}

/// How much new data a keyspace keeps in memory before it is flushed to a sorted file. Smaller values
/// mean more and smaller files; after a crash, the data in memory is replayed from the journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memtables {
    /// For ticks.
    pub(crate) ticks_bytes: u64,
    /// For each of the other keyspaces.
    pub(crate) other_bytes: u64,
    /// The size of a sorted file of ticks.
    pub(crate) ticks_file_bytes: u64,
}

impl Default for Memtables {
    fn default() -> Self {
        Self {
            ticks_bytes: 8 * 1_024 * 1_024,
            other_bytes: 2 * 1_024 * 1_024,
            ticks_file_bytes: 16 * 1_024 * 1_024,
        }
    }
}

/// The number of flushed files of ticks that triggers a merge, which rewrites a part of all ticks.
const TICKS_L0_TABLES: u8 = 4;

impl Keyspaces {
    pub(crate) fn open(db: &Database, memtables: Memtables) -> Result<Self, StorageError> {
        // Ticks are looked up before they are stored, and are mostly absent, for which the engine's default
        // filters are sufficient. Blocks of the stream are only read sequentially.
        let ticks = || {
            rotated_here().compaction_strategy(Arc::new(
                Leveled::default()
                    .with_table_target_size(memtables.ticks_file_bytes)
                    .with_l0_threshold(TICKS_L0_TABLES),
            ))
        };
        let small = || {
            let lz4 = config::CompressionPolicy::all(CompressionType::Lz4);
            rotated_here().data_block_compression_policy(lz4)
        };
        let blocks = || small().filter_policy(config::FilterPolicy::disabled());
        Ok(Self {
            ticks: db.keyspace(keys::tick::KEYSPACE, ticks)?,
            arrival_stamped: db.keyspace(keys::arrival_stamped::KEYSPACE, small)?,
            pairs: db.keyspace(keys::pair::KEYSPACE, small)?,
            days: db.keyspace(keys::event_day::KEYSPACE, small)?,
            outbox: db.keyspace(keys::outbox_entry::KEYSPACE, small)?,
            stream: [
                db.keyspace(&keys::stream_block::keyspace(0), blocks)?,
                db.keyspace(&keys::stream_block::keyspace(1), blocks)?,
                db.keyspace(&keys::stream_block::keyspace(2), blocks)?,
                db.keyspace(&keys::stream_block::keyspace(3), blocks)?,
            ],
            quarantine: db.keyspace(keys::quarantined::KEYSPACE, small)?,
            states: db.keyspace(keys::analysis_state::KEYSPACE, small)?,
            candles: db.keyspace(keys::candle::KEYSPACE, small)?,
            anomalies: db.keyspace(keys::anomaly::KEYSPACE, small)?,
            anomaly_marks: db.keyspace(keys::anomaly_mark::KEYSPACE, small)?,
            rollouts: db.keyspace(keys::rollout_change::KEYSPACE, small)?,
            meta: db.keyspace(keys::meta::KEYSPACE, small)?,
            memtables,
        })
    }

    /// Rotates full memtables, which the engine's worker then flushes to sorted files. Call this after each
    /// commit.
    pub(crate) fn rotate_full(&self) -> Result<(), StorageError> {
        for space in self.all() {
            if space.tree.active_memtable().size() > self.memtable_bytes(space) {
                space.rotate_memtable()?;
            }
        }
        Ok(())
    }

    pub(crate) fn memtable_bytes(&self, space: &Keyspace) -> u64 {
        if *space == self.ticks {
            self.memtables.ticks_bytes
        } else {
            self.memtables.other_bytes
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Keyspace> {
        [
            &self.ticks,
            &self.arrival_stamped,
            &self.pairs,
            &self.days,
            &self.outbox,
            &self.quarantine,
            &self.states,
            &self.candles,
            &self.anomalies,
            &self.anomaly_marks,
            &self.rollouts,
            &self.meta,
        ]
        .into_iter()
        .chain(&self.stream)
    }

    /// An outbox entry, if it exists.
    pub(crate) fn outbox_entry(&self, number: u64) -> Result<Option<Entry>, StorageError> {
        let found = self.outbox.get(number.to_be_bytes())?;
        found.map(|bytes| Entry::decode(&bytes)).transpose()
    }

    /// A shard of the stream.
    pub(crate) fn shard(&self, shard: u8) -> Result<&Keyspace, StorageError> {
        let found = self.stream.get(usize::from(shard));
        found.ok_or_else(|| StorageError::corrupt("shard", format!("there is no shard {shard}")))
    }
}

/// Options without the engine's own memory limit, see [`Keyspaces::rotate_full`]. The engine would request a
/// rotation with every commit until it has happened. While the worker merges files, these requests fill its
/// queue of 1,000 messages; the next request that it handles sends a message to the same queue, and waits
/// forever, since only the worker itself takes messages out.
fn rotated_here() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(u64::MAX)
}
