//! redb: one file of copy-on-write B-trees.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use crate::load::{COUNTERS, Commit};
use crate::{Outcome, Store, Tuning};

const TICKS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("ticks");
const STREAM: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("stream");
const QUEUE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("queue");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

const MIB: usize = 1_024 * 1_024;

pub(crate) struct RedbStore {
    database: Database,
    quick_repair: bool,
}

impl RedbStore {
    pub(crate) fn open(folder: &Path, tuning: &Tuning) -> Outcome<Self> {
        let database = Database::builder()
            .set_cache_size(usize::try_from(tuning.get("cache", 128))? * MIB)
            .create(folder.join("redb"))?;
        // Reading needs the tables to exist.
        let transaction = database.begin_write()?;
        transaction.open_table(TICKS)?;
        transaction.open_table(META)?;
        transaction.commit()?;
        Ok(Self {
            database,
            quick_repair: tuning.get("quick", 0) == 1,
        })
    }
}

impl Store for RedbStore {
    fn commit(&mut self, commit: Commit) -> Outcome<u64> {
        let mut duplicates = 0;
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.set_quick_repair(self.quick_repair);
        {
            let mut ticks = transaction.open_table(TICKS)?;
            for (key, value) in &commit.ticks {
                // The insert returns the previous value, so no separate lookup is needed.
                if ticks.insert(key.as_slice(), value.as_slice())?.is_some() {
                    duplicates += 1;
                }
            }
            let mut stream = transaction.open_table(STREAM)?;
            for (key, block) in &commit.stream {
                stream.insert(key.as_slice(), block.as_slice())?;
            }
            let mut queue = transaction.open_table(QUEUE)?;
            let (key, block) = &commit.queued;
            queue.insert(key.as_slice(), block.as_slice())?;
            if let Some(key) = &commit.sent {
                queue.remove(key.as_slice())?;
            }
            let mut meta = transaction.open_table(META)?;
            for name in COUNTERS {
                meta.insert(name, commit.counter)?;
            }
        }
        transaction.commit()?;
        Ok(duplicates)
    }

    fn counter(&self) -> Outcome<u64> {
        let [name, ..] = COUNTERS;
        let table = self.database.begin_read()?.open_table(META)?;
        Ok(table.get(name)?.map_or(0, |value| value.value()))
    }

    fn holds(&self, key: &[u8]) -> Outcome<bool> {
        let table = self.database.begin_read()?.open_table(TICKS)?;
        Ok(table.get(key)?.is_some())
    }

    fn last(&self, prefix: &[u8], limit: usize) -> Outcome<u64> {
        // In all keys the prefix is followed by 0 and a time, so the prefix followed by 1 is after them.
        let mut until = prefix.to_vec();
        if let Some(byte) = until.last_mut() {
            *byte = 1;
        }
        let table = self.database.begin_read()?.open_table(TICKS)?;
        let mut bytes = 0;
        for row in table.range(prefix..until.as_slice())?.rev().take(limit) {
            bytes += u64::try_from(row?.1.value().len())?;
        }
        Ok(bytes)
    }

    fn range(&self, from: &[u8], until: &[u8]) -> Outcome<u64> {
        let table = self.database.begin_read()?.open_table(TICKS)?;
        let mut rows = 0;
        for row in table.range(from..until)? {
            rows += u64::from(!row?.1.value().is_empty());
        }
        Ok(rows)
    }

    fn finish_compaction(&self) {}

    fn close(self: Box<Self>) -> Outcome {
        drop(self.database);
        Ok(())
    }
}
