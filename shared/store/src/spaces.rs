//! The keyspaces of the embedded store and the layout of their keys.

use std::sync::Arc;

use fjall::compaction::Leveled;
use fjall::{
    AbstractTree as _, CompressionType, Database, Keyspace, KeyspaceCreateOptions, config,
};

use crate::error::StorageError;
use crate::stream::SHARDS;

/// Every keyspace. Numbers in keys are big-endian, so that keys sort by them.
#[derive(Clone)]
pub(crate) struct Spaces {
    /// pair (u32), timestamp (u64), tick id (16) → tick.
    pub(crate) ticks: Keyspace,
    /// tick id (16) → timestamp (u64), of ticks whose event time is our own clock's: the same
    /// event delivered again has another time, and is known by its id only.
    pub(crate) clocked: Keyspace,
    /// pair (u32) → token, quote.
    pub(crate) pairs: Keyspace,
    /// note (u64) → when, stream heads then, keys of ticks.
    pub(crate) pending: Keyspace,
    /// By shard: first sequence number (u64) → block of ticks. A keyspace a shard, so that keys
    /// only grow, and compaction moves files instead of merging them.
    pub(crate) stream: [Keyspace; SHARDS as usize],
    /// By queue: first position (u64) → block of ticks.
    pub(crate) queues: [Keyspace; 2],
    /// received (u64), number (u64) → quarantined entry.
    pub(crate) quarantine: Keyspace,
    /// shard (u8), pair (u32) → analysis state.
    pub(crate) states: Keyspace,
    /// pair (u32), interval (u8), start (u64) → candle.
    pub(crate) candles: Keyspace,
    /// timestamp (u64), tick id (16) → anomaly.
    pub(crate) anomalies: Keyspace,
    /// number (u64) → change of the rollout.
    pub(crate) rollouts: Keyspace,
    /// name → value: the state, checkpoints, the layout.
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
        // answer that. Blocks of stream and queues are only read in order.
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
            ticks: db.keyspace("ticks", ticks)?,
            clocked: db.keyspace("clocked", small)?,
            pairs: db.keyspace("pairs", small)?,
            pending: db.keyspace("pending", small)?,
            stream: [
                db.keyspace("stream-0", blocks)?,
                db.keyspace("stream-1", blocks)?,
                db.keyspace("stream-2", blocks)?,
                db.keyspace("stream-3", blocks)?,
            ],
            queues: [
                db.keyspace("broadcast", blocks)?,
                db.keyspace("redrive", blocks)?,
            ],
            quarantine: db.keyspace("quarantine", small)?,
            states: db.keyspace("states", small)?,
            candles: db.keyspace("candles", small)?,
            anomalies: db.keyspace("anomalies", small)?,
            rollouts: db.keyspace("rollouts", small)?,
            meta: db.keyspace("meta", small)?,
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
            &self.clocked,
            &self.pairs,
            &self.pending,
            &self.quarantine,
            &self.states,
            &self.candles,
            &self.anomalies,
            &self.rollouts,
            &self.meta,
        ]
        .into_iter()
        .chain(&self.stream)
        .chain(&self.queues)
    }

    /// A shard of the stream.
    pub(crate) fn shard(&self, shard: u8) -> Result<&Keyspace, StorageError> {
        let found = self.stream.get(usize::from(shard));
        found.ok_or_else(|| StorageError::corrupt("shard", format!("there is no shard {shard}")))
    }
}

/// Options without the engine's own limit of memory, see [`Spaces::rotate_full`]. The engine would
/// ask its worker anew with every commit until the memory is handed over. While the worker merges
/// files those requests fill its queue, of 1,000 places; the next one that it serves puts a message
/// into that queue, and waits for ever for a place that only itself could free.
fn rotated_here() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(u64::MAX)
}

/// A tick's key without its pair: timestamp and id.
pub(crate) const MOMENT_BYTES: usize = 8 + 16;

/// A tick's key.
pub(crate) const TICK_KEY_BYTES: usize = 4 + MOMENT_BYTES;

/// The key of a tick.
pub(crate) type TickKey = [u8; TICK_KEY_BYTES];

/// Lays a tick's key.
pub(crate) fn tick_key(pair: u32, timestamp_ms: i64, id: &[u8; 16]) -> TickKey {
    let mut key = [0; TICK_KEY_BYTES];
    let parts = pair
        .to_be_bytes()
        .into_iter()
        .chain(sortable(timestamp_ms))
        .chain(id.iter().copied());
    for (slot, byte) in key.iter_mut().zip(parts) {
        *slot = byte;
    }
    key
}

/// A time as bytes that sort by it. Times before the epoch do not occur: a tick's time is
/// checked, and 0 stands for the beginning.
pub(crate) fn sortable(timestamp_ms: i64) -> [u8; 8] {
    u64::try_from(timestamp_ms).unwrap_or(0).to_be_bytes()
}

/// The number at the end of a key.
pub(crate) fn number_of(key: &[u8]) -> Result<u64, StorageError> {
    key.last_chunk::<8>()
        .map(|bytes| u64::from_be_bytes(*bytes))
        .ok_or_else(|| StorageError::corrupt("key", "it is too short"))
}
