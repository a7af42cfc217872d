//! fjall: an LSM tree for each keyspace, one journal for all.

use std::path::Path;
use std::sync::Arc;

use fjall::compaction::Leveled;
use fjall::config::{
    BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry, PinningPolicy,
};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode,
};

use crate::load::{COUNTERS, Commit};
use crate::{Outcome, Store, Tuning};

const MIB: u64 = 1_024 * 1_024;

pub(crate) struct FjallStore {
    database: Database,
    ticks: Keyspace,
    stream: Keyspace,
    queue: Keyspace,
    meta: Keyspace,
    /// The product's small keyspaces.
    others: Vec<Keyspace>,
    /// The number of journals when it was last read.
    journals: usize,
    /// Whether to flush the keyspaces that keep an old journal alive, instead of waiting until journals are
    /// full.
    flush_stragglers: bool,
    flush_on_close: bool,
}

impl FjallStore {
    pub(crate) fn open(folder: &Path, tuning: &Tuning) -> Outcome<Self> {
        let database = Database::builder(folder)
            .cache_size(tuning.get("cache", 32) * MIB)
            .max_journaling_size(tuning.get("journal", 64) * MIB)
            .worker_threads(usize::try_from(tuning.get("workers", 1))?)
            .journal_compression(if tuning.get("jlz4", 0) == 1 {
                CompressionType::Lz4
            } else {
                CompressionType::None
            })
            .open()?;
        let ticks = database.keyspace("ticks", || ticks_options(tuning))?;
        let stream = database.keyspace("stream", || blocks_options(tuning))?;
        let queue = database.keyspace("queue", || blocks_options(tuning))?;
        let meta = database.keyspace("meta", || small_options(tuning))?;
        let others = ["redrive", "quarantine", "state", "candles", "anomalies"]
            .into_iter()
            .map(|name| database.keyspace(name, || small_options(tuning)))
            .collect::<Result<_, _>>()?;
        let flush_stragglers = tuning.get("stragglers", 1) == 1;
        let flush_on_close = tuning.get("flush", 1) == 1;
        let journals = 1;
        Ok(Self {
            database,
            ticks,
            stream,
            queue,
            meta,
            others,
            journals,
            flush_stragglers,
            flush_on_close,
        })
    }

    /// A sealed journal is kept until every keyspace has flushed its data, and is replayed after a crash.
    /// Keyspaces that fill slowly would keep it for a long time.
    fn flush_stragglers(&mut self) -> Outcome {
        let journals = self.database.journal_count();
        if self.flush_stragglers && journals > self.journals {
            for keyspace in [&self.stream, &self.queue, &self.meta]
                .into_iter()
                .chain(&self.others)
            {
                keyspace.rotate_memtable()?;
            }
        }
        self.journals = journals;
        Ok(())
    }
}

impl Store for FjallStore {
    fn commit(&mut self, commit: Commit) -> Outcome<u64> {
        let mut duplicates = 0;
        let mut batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        for (key, value) in commit.ticks {
            if self.ticks.contains_key(&key)? {
                duplicates += 1;
            }
            batch.insert(&self.ticks, key, value);
        }
        for (key, block) in commit.stream {
            batch.insert(&self.stream, key, block);
        }
        let (key, block) = commit.queued;
        batch.insert(&self.queue, key, block);
        if let Some(key) = commit.sent {
            batch.remove(&self.queue, key);
        }
        for name in COUNTERS {
            batch.insert(&self.meta, name, commit.counter.to_be_bytes());
        }
        batch.commit()?;
        self.flush_stragglers()?;
        Ok(duplicates)
    }

    fn counter(&self) -> Outcome<u64> {
        let [name, ..] = COUNTERS;
        let Some(value) = self.meta.get(name)? else {
            return Ok(0);
        };
        Ok(u64::from_be_bytes(value.as_ref().try_into()?))
    }

    fn holds(&self, key: &[u8]) -> Outcome<bool> {
        Ok(self.ticks.contains_key(key)?)
    }

    fn last(&self, prefix: &[u8], limit: usize) -> Outcome<u64> {
        let mut bytes = 0;
        for row in self.ticks.prefix(prefix).rev().take(limit) {
            bytes += u64::try_from(row.value()?.len())?;
        }
        Ok(bytes)
    }

    fn range(&self, from: &[u8], until: &[u8]) -> Outcome<u64> {
        let mut rows = 0;
        for row in self.ticks.range(from..until) {
            let (_, value) = row.into_inner()?;
            rows += u64::from(!value.is_empty());
        }
        Ok(rows)
    }

    fn finish_compaction(&self) {
        while self.database.outstanding_flushes() > 0 || self.database.active_compactions() > 0 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn close(self: Box<Self>) -> Outcome {
        if self.flush_on_close {
            // If the journal has no memtables, the next start replays nothing.
            for keyspace in [&self.ticks, &self.stream, &self.queue, &self.meta]
                .into_iter()
                .chain(&self.others)
            {
                keyspace.rotate_memtable_and_wait()?;
            }
        }
        self.database.persist(PersistMode::SyncAll)?;
        Ok(())
    }
}

fn ticks_options(tuning: &Tuning) -> KeyspaceCreateOptions {
    let table_bytes = tuning.get("table", 16) * MIB;
    let l0 = u8::try_from(tuning.get("l0", 8)).unwrap_or(u8::MAX);
    let bits = f32::from(u16::try_from(tuning.get("bits", 10)).unwrap_or(10));
    let compression = match tuning.get("lz4", 2) {
        0 => CompressionPolicy::disabled(),
        1 => CompressionPolicy::all(CompressionType::Lz4),
        _ => CompressionPolicy::new([
            CompressionType::None,
            CompressionType::None,
            CompressionType::Lz4,
        ]),
    };
    let mut options = KeyspaceCreateOptions::default()
        .max_memtable_size(tuning.get("memtable", 16) * MIB)
        .data_block_compression_policy(compression)
        .filter_policy(FilterPolicy::new([
            FilterPolicyEntry::Bloom(BloomConstructionPolicy::FalsePositiveRate(0.0001)),
            FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(bits)),
        ]))
        .compaction_strategy(Arc::new(
            Leveled::default()
                .with_table_target_size(table_bytes)
                .with_l0_threshold(l0),
        ));
    if tuning.get("sep", 0) == 1 {
        options = options.with_kv_separation(Some(
            KvSeparationOptions::default()
                .separation_threshold(64)
                .compression(CompressionType::None),
        ));
    }
    if tuning.get("pin", 0) == 1 {
        options = options.filter_block_pinning_policy(PinningPolicy::all(true));
    }
    options
}

/// Blocks are written in the order of their keys and read once or twice, so filters are not worth their memory.
fn blocks_options(tuning: &Tuning) -> KeyspaceCreateOptions {
    let compression = if tuning.get("blz4", 1) == 1 {
        CompressionPolicy::all(CompressionType::Lz4)
    } else {
        CompressionPolicy::disabled()
    };
    KeyspaceCreateOptions::default()
        .max_memtable_size(tuning.get("blocks", 8) * MIB)
        .filter_policy(FilterPolicy::disabled())
        .data_block_compression_policy(compression)
}

fn small_options(tuning: &Tuning) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(tuning.get("small", 4) * MIB)
}
