//! Removes old data by whole days: ticks, candles, anomalies and quarantined entries, the pairs that have no
//! ticks any more, and blocks of the stream that all consumers have read.
//!
//! Rows are sorted by day, so the engine drops the sorted files of old days without reading them. A file
//! that also has rows of a kept day stays until that day ends; readers do not see its old rows.

use std::ops::Bound::{Excluded, Unbounded};

use domain::Pair;
use fjall::{AbstractTree as _, Keyspace};

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::day::{self, Day};
use crate::keys::stream_block::{self, SHARDS};
use crate::keys::{meta, number_of, pair, sortable};

/// Pairs looked at per step, so a sweep never blocks the writer for long.
const PAIRS_PER_STEP: usize = 1_000;

/// What the stream keeps after all consumers have read it. What one of them has not read is kept in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRetention {
    /// Records of ticks that were received at this time or later are kept, epoch milliseconds.
    pub from_ms: i64,
    /// Within this size on disk, in bytes: the oldest records beyond it are removed.
    pub bytes_max: u64,
}

impl StreamRetention {
    /// Everything is kept.
    pub const ALL: Self = Self {
        from_ms: i64::MIN,
        bytes_max: u64::MAX,
    };
}

/// The result of a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Ticks of the days that were dropped.
    pub ticks: u64,
    /// Pairs without ticks in the days that are kept.
    pub pairs: u64,
}

impl EmbeddedStore {
    /// Removes the days that are entirely before `before_ms` (epoch milliseconds): ticks, by the day of
    /// their receipt and not of their event time, so replayed old trades are kept as long as new ones;
    /// candles and anomalies, by the day on which they were written last; quarantined entries; and pairs
    /// with their states. Also removes blocks of the stream that all `consumers` have read and `stream` does not keep.
    ///
    /// # Errors
    /// [`StorageError`]; what was removed before the error stays removed.
    pub async fn sweep(
        &self,
        before_ms: i64,
        stream: StreamRetention,
        consumers: &[&str],
    ) -> Result<Swept, StorageError> {
        let first_day = day::of(before_ms);
        let mut swept = Swept::default();
        let begins = first_day > self.inner.first_day();
        if begins {
            swept.ticks = self.hide_days_before(first_day).await?;
        }
        self.drop_files(stream, consumers).await?;
        if begins {
            swept.pairs = self.remove_pairs(first_day).await?;
        }
        Ok(swept)
    }

    /// Makes earlier days invisible; returns how many ticks they had.
    async fn hide_days_before(&self, first_day: Day) -> Result<u64, StorageError> {
        let hidden = self.commit(move |commit| {
            let inner = commit.inner;
            let (mut keys, ticks) = inner.tick_days.before(first_day);
            keys.extend(inner.candle_days.before(first_day).0);
            let days = &inner.spaces.days;
            for key in keys {
                commit.remove(days, &key);
            }
            let meta = &inner.spaces.meta;
            commit.insert(
                meta,
                meta::FIRST_DAY.as_bytes(),
                first_day.to_be_bytes().to_vec(),
            );
            commit.state.expired_rows += ticks;
            Ok(ticks)
        });
        let ticks = hidden.await?;
        self.inner.set_first_day(first_day);
        self.inner.tick_days.drop_before(first_day);
        self.inner.candle_days.drop_before(first_day);
        Ok(ticks)
    }

    /// Drops the files that only have rows of days before the first one, and only blocks of the stream that
    /// are not needed any more.
    async fn drop_files(
        &self,
        retention: StreamRetention,
        consumers: &[&str],
    ) -> Result<(), StorageError> {
        let mut stream_from = Vec::new();
        for shard in 0..SHARDS {
            let mut slowest = u64::MAX;
            for consumer in consumers {
                slowest = slowest.min(self.checkpoint(consumer, shard)?.count());
            }
            if !consumers.is_empty() {
                stream_from.push((shard, slowest));
            }
        }
        let removable = self.removable_blocks(stream_from, retention).await?;
        self.read(move |inner| {
            let spaces = &inner.spaces;
            let first_day = inner.first_day();
            let by_day = [
                &spaces.ticks,
                &spaces.candles,
                &spaces.anomalies,
                &spaces.arrival_stamped,
            ];
            for space in by_day {
                drop_before(space, &first_day.to_be_bytes())?;
            }
            drop_before(&spaces.quarantine, &sortable(day::start_ms(first_day)))?;
            for blocks in removable {
                drop_before(spaces.shard(blocks.shard)?, &blocks.before)?;
            }
            Ok(())
        })
        .await
    }

    /// The blocks of the stream that are not needed any more. Until when their ticks were received is kept before any of
    /// them is removed.
    async fn removable_blocks(
        &self,
        stream_from: Vec<(u8, u64)>,
        retention: StreamRetention,
    ) -> Result<Vec<RemovableBlocks>, StorageError> {
        let found = self.read(move |inner| {
            let mut found = Vec::new();
            for (shard, slowest) in stream_from {
                let stream = inner.spaces.shard(shard)?;
                let end =
                    inner.with_state(|state| state.end_offsets.get(usize::from(shard)).copied());
                let end = end.unwrap_or_default();
                let keep_from = keep_from(stream, end, retention)?.min(slowest);
                // The block with the first record that is kept begins at or before it.
                let Some(guard) = stream.range(..=keep_from.to_be_bytes()).next_back() else {
                    continue;
                };
                let before = guard.key()?.to_vec();
                let kept = inner.removed_until_ms(shard)?;
                let removed_until_ms = newest_before(stream, &before)?.max(kept);
                found.push(RemovableBlocks {
                    shard,
                    before,
                    removed_until_ms,
                });
            }
            Ok(found)
        });
        let found = found.await?;
        let newest: Vec<_> = found
            .iter()
            .filter_map(|blocks| Some((blocks.shard, blocks.removed_until_ms?)))
            .collect();
        if !newest.is_empty() {
            let keep = self.commit(move |commit| {
                for (shard, removed_until_ms) in newest {
                    let key = meta::removed_until(shard).into_bytes();
                    let value = removed_until_ms.to_be_bytes().to_vec();
                    commit.insert(&commit.spaces().meta, &key, value);
                }
                Ok(())
            });
            keep.await?;
        }
        Ok(found)
    }

    /// Removes the pairs whose last tick was received before a day.
    async fn remove_pairs(&self, first_day: Day) -> Result<u64, StorageError> {
        let mut removed = 0;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let (expired, next) = self.expired_pairs(after, first_day).await?;
            if !expired.is_empty() {
                removed += self
                    .commit(move |commit| {
                        let mut removed = 0;
                        for pair in &expired {
                            removed += u64::from(commit.remove_pair(pair, first_day)?);
                        }
                        Ok(removed)
                    })
                    .await?;
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(removed),
            }
        }
    }

    /// The expired ones among the next pairs, and where to continue.
    async fn expired_pairs(
        &self,
        after: Option<Vec<u8>>,
        first_day: Day,
    ) -> Result<(Vec<Pair>, Option<Vec<u8>>), StorageError> {
        self.read(move |inner| {
            let start = after.map_or(Unbounded, Excluded);
            let rows = inner.spaces.pairs.range::<Vec<u8>, _>((start, Unbounded));
            let (mut expired, mut last, mut seen) = (Vec::new(), None, 0);
            for guard in rows.take(PAIRS_PER_STEP) {
                let (key, value) = guard.into_inner()?;
                if pair::decode(&value)?.last_day < first_day {
                    expired.push(pair::pair_of(&key)?);
                }
                (last, seen) = (Some(key.to_vec()), seen + 1);
            }
            Ok((expired, if seen == PAIRS_PER_STEP { last } else { None }))
        })
        .await
    }
}

/// The first record of a shard that is kept, whoever has read it.
fn keep_from(shard: &Keyspace, end: u64, retention: StreamRetention) -> Result<u64, StorageError> {
    let Some(first) = shard.first_key_value() else {
        return Ok(0);
    };
    let first = number_of(&first.key()?)?;
    // Blocks are in the order of their receipt, except for what was drained from the outbox; where that lies in the
    // way of the search, some minutes more or less are kept.
    let (mut old, mut kept) = (first, end.saturating_add(1));
    while old < kept {
        let middle = old + (kept - old) / 2;
        match received_ms(shard, middle)? {
            Some(received_ms) if received_ms < retention.from_ms => old = middle + 1,
            Some(_) | None => kept = middle,
        }
    }
    let records = end.saturating_sub(first) + 1;
    let (bytes, bytes_max) = (shard.disk_space(), retention.bytes_max / u64::from(SHARDS));
    let beyond = match bytes.checked_sub(bytes_max) {
        None | Some(0) => first,
        Some(excess) => {
            let share = u128::from(records) * u128::from(excess) / u128::from(bytes);
            first + u64::try_from(share).unwrap_or(records)
        }
    };
    Ok(kept.max(beyond))
}

/// Blocks of a shard that are not needed any more.
struct RemovableBlocks {
    shard: u8,
    /// The key of the first block that is kept.
    before: Vec<u8>,
    /// The newest time of receipt in them and in those that were removed before, epoch milliseconds.
    removed_until_ms: Option<i64>,
}

/// The newest time of receipt of the blocks before a key. Their order is that of their appends.
fn newest_before(shard: &Keyspace, key: &[u8]) -> Result<Option<i64>, StorageError> {
    let mut newest = None;
    for guard in shard.range(..key) {
        // Of a block that cannot be read, the consumers have read nothing either.
        if let Ok(ticks) = stream_block::read(&guard.value()?) {
            newest = newest.max(ticks.iter().map(|tick| tick.ingested_at_ms).max());
        }
    }
    Ok(newest)
}

/// When the first tick of the block with a record was received, epoch milliseconds; `None` if it cannot be read.
fn received_ms(shard: &Keyspace, record: u64) -> Result<Option<i64>, StorageError> {
    let Some(guard) = shard.range(..=record.to_be_bytes()).next_back() else {
        return Ok(None);
    };
    let block = stream_block::read(&guard.value()?);
    let first = block.ok().and_then(|ticks| ticks.into_iter().next());
    Ok(first.map(|tick| tick.ingested_at_ms))
}

/// Drops the files of a keyspace whose rows all come before a key.
fn drop_before(space: &Keyspace, key: &[u8]) -> Result<(), StorageError> {
    let dropped = space.tree.drop_range::<&[u8], _>(..key);
    Ok(dropped.map_err(fjall::Error::from)?)
}

#[cfg(test)]
mod tests {
    use app::ports::{TickStore as _, TickStream as _};
    use testkit::ticks::{in_cohort, tick};

    use super::*;
    use crate::embedded::EmbeddedConfig;
    use crate::keyspaces::Memtables;

    /// Files are dropped, and the rows of a removed day cost nothing more than its files.
    #[tokio::test]
    async fn the_files_of_removed_days_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig::new(folder.path().to_owned());
        let limits = Memtables {
            ticks_bytes: 16 * 1_024,
            other_bytes: 4 * 1_024,
            // Less than a day's ticks.
            ticks_file_bytes: 32 * 1_024,
        };
        let store = EmbeddedStore::open_with(&config, limits).unwrap();
        let mut most_tables = 0;
        for day in 0..30_u16 {
            for chunk in 0..20_u32 {
                let made: Vec<_> = (0..40)
                    .map(|n| {
                        let number = u32::from(day) * 1_000 + chunk * 40 + n;
                        let mut made = tick(&format!("T{}", n % 7), number);
                        made.ingested_at_ms = day::start_ms(day + 20_000) + i64::from(number);
                        made.timestamp_ms = made.ingested_at_ms;
                        made
                    })
                    .collect();
                store.put(&in_cohort(&made)).await.unwrap();
                let made: Vec<_> = made.iter().collect();
                store.append(&made, None).await.unwrap();
            }
            let first_day = (day + 20_000).saturating_sub(3);
            store
                .sweep(day::start_ms(first_day), StreamRetention::ALL, &[])
                .await
                .unwrap();
            if day < 10 {
                most_tables = most_tables.max(store.inner.spaces.ticks.table_count());
            }
        }
        assert!(most_tables > 3, "{most_tables}: nothing was flushed");
        let kept_from = (20_000_u16 + 26).to_be_bytes();
        // The files of earlier days may have rows of a kept day, too.
        let before = (20_000_u16 + 23).to_be_bytes();
        let started = std::time::Instant::now();
        loop {
            store
                .sweep(day::start_ms(20_026), StreamRetention::ALL, &[])
                .await
                .unwrap();
            let tables = store.inner.spaces.ticks.table_count();
            let first_row = store.inner.spaces.ticks.first_key_value().unwrap();
            let first_row = first_row.key().unwrap();
            if tables <= 2 * most_tables && first_row.as_ref() >= before.as_slice() {
                break;
            }
            // A busy machine merges files later.
            let waited = started.elapsed();
            assert!(
                waited.as_secs() < 60,
                "{tables} of {most_tables}, from {first_row:?}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(store.inner.first_day().to_be_bytes(), kept_from);
        store.close();
    }
}
