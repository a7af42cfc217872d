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
pub(crate) struct Spaces {
    pub(crate) ticks: Keyspace,
    pub(crate) arrival_stamped: Keyspace,
    pub(crate) pairs: Keyspace,
    pub(crate) outbox: Keyspace,
    /// A keyspace for each shard, so that keys only grow, and compaction moves files instead of
    /// merging them.
    pub(crate) stream: [Keyspace; SHARDS as usize],
    pub(crate) quarantine: Keyspace,
    pub(crate) states: Keyspace,
    pub(crate) candles: Keyspace,
    pub(crate) anomalies: Keyspace,
    pub(crate) rollouts: Keyspace,
    pub(crate) meta: Keyspace,
    memtables: Memtables,
}

/// How much new data a keyspace holds in memory before it goes to a sorted file. Less means more,
/// smaller files; what is in memory is read back from the journal at a start after a crash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memtables {
    /// For ticks.
    pub(crate) ticks_bytes: u64,
    /// For each of the other keyspaces.
    pub(crate) other_bytes: u64,
}

impl Default for Memtables {
    fn default() -> Self {
        Self {
            ticks_bytes: 8 * 1_024 * 1_024,
            other_bytes: 2 * 1_024 * 1_024,
        }
    }
}

/// Size of a sorted file of ticks.
const TICKS_TABLE_BYTES: u64 = 16 * 1_024 * 1_024;
/// Files of ticks from memory before they are merged: each merge rewrites a part of all ticks.
const TICKS_L0_TABLES: u8 = 4;

impl Spaces {
    pub(crate) fn open(db: &Database, memtables: Memtables) -> Result<Self, StorageError> {
        // Ticks are looked up before they are put, mostly in vain: the engine's default filters
        // answer that. Blocks of the stream are only read in order.
        let ticks = || {
            rotated_here().compaction_strategy(Arc::new(
                Leveled::default()
                    .with_table_target_size(TICKS_TABLE_BYTES)
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
            rollouts: db.keyspace(keys::rollout_change::KEYSPACE, small)?,
            meta: db.keyspace(keys::meta::KEYSPACE, small)?,
            memtables,
        })
    }

    /// Hands what fills its memory to the engine's worker, to be written to a sorted file. To be
    /// called after each commit.
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
            &self.outbox,
            &self.quarantine,
            &self.states,
            &self.candles,
            &self.anomalies,
            &self.rollouts,
            &self.meta,
        ]
        .into_iter()
        .chain(&self.stream)
    }

    /// An outbox entry, if it is there.
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

/// Options without the engine's own limit of memory, see [`Spaces::rotate_full`]. The engine would
/// ask its worker again with every commit until the memory is handed over. While the worker merges
/// files those requests fill its queue, of 1,000 places; the next one that it serves puts a message
/// into that queue, and waits for ever for a place that only itself could free.
fn rotated_here() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(u64::MAX)
}
