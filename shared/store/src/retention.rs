//! Removes old data: ticks, quarantined entries and anomalies by age, and blocks of the stream that all
//! consumers have read.

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::stream_block::SHARDS;
use crate::keys::{sortable, tick};

/// Rows scanned per step, so a sweep never blocks writers for long.
const ROWS_PER_STEP: usize = 10_000;

/// Records of the stream that are kept after the slowest consumer has read them.
const STREAM_KEPT_RECORDS: u64 = 1_000_000;

/// The result of a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Ticks received before the limit.
    pub ticks: u64,
    /// Quarantined entries and anomalies before the limit.
    pub others: u64,
    /// Blocks of the stream that every consumer has read.
    pub blocks: u64,
}

impl EmbeddedStore {
    /// Removes ticks, quarantined entries and anomalies from before `before_ms` (epoch milliseconds), and
    /// blocks of the stream that all `consumers` have read long ago.
    ///
    /// The age of a tick is based on the time of its receipt, not on its event time, so replayed old trades
    /// are kept as long as new ones.
    ///
    /// # Errors
    /// [`StorageError`]; rows that were removed before the error stay removed.
    pub async fn sweep(&self, before_ms: i64, consumers: &[&str]) -> Result<Swept, StorageError> {
        self.sweep_arrival_stamped(before_ms).await?;
        let mut swept = Swept {
            others: self.sweep_dated(before_ms).await?,
            ..Swept::default()
        };
        let mut after: Option<Vec<u8>> = None;
        loop {
            let (expired, next) = self.expired_ticks(after, before_ms).await?;
            let count = expired.len() as u64;
            if count > 0 {
                self.commit(move |commit| {
                    for key in expired {
                        commit.remove(&commit.spaces().ticks, &key);
                    }
                    commit.state.expired_rows += count;
                    Ok(())
                })
                .await?;
                swept.ticks += count;
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
            tokio::task::yield_now().await;
        }
        for shard in 0..SHARDS {
            swept.blocks += self.sweep_stream(shard, consumers).await?;
        }
        Ok(swept)
    }

    /// The keys of expired ticks among the next rows, and where to continue.
    async fn expired_ticks(
        &self,
        after: Option<Vec<u8>>,
        before_ms: i64,
    ) -> Result<(Vec<Vec<u8>>, Option<Vec<u8>>), StorageError> {
        self.read(move |inner| {
            use std::ops::Bound::{Excluded, Unbounded};
            let start = after.map_or(Unbounded, Excluded);
            let rows = inner.spaces.ticks.range::<Vec<u8>, _>((start, Unbounded));
            let (mut expired, mut last, mut seen) = (Vec::new(), None, 0);
            for guard in rows.take(ROWS_PER_STEP) {
                let (key, value) = guard.into_inner()?;
                seen += 1;
                if tick::decode(&value)?.ingested_at_ms < before_ms {
                    expired.push(key.to_vec());
                }
                last = Some(key.to_vec());
            }
            Ok((expired, if seen == ROWS_PER_STEP { last } else { None }))
        })
        .await
    }

    /// Removes the ids of arrival-stamped ticks from before the limit.
    async fn sweep_arrival_stamped(&self, before_ms: i64) -> Result<(), StorageError> {
        let end = sortable(before_ms);
        let expired = self.read(move |inner| {
            let mut expired = Vec::new();
            for guard in inner.spaces.arrival_stamped.iter() {
                let (id, at) = guard.into_inner()?;
                if at.as_ref() < end.as_slice() {
                    expired.push(id.to_vec());
                }
            }
            Ok(expired)
        });
        for ids in expired.await?.chunks(ROWS_PER_STEP) {
            let ids = ids.to_vec();
            self.commit(move |commit| {
                for id in ids {
                    commit.remove(&commit.spaces().arrival_stamped, &id);
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Removes rows whose keys begin with a time before the limit.
    async fn sweep_dated(&self, before_ms: i64) -> Result<u64, StorageError> {
        self.commit(move |commit| {
            let end = sortable(before_ms);
            let mut removed = 0;
            for space in [&commit.spaces().quarantine, &commit.spaces().anomalies] {
                let old = space
                    .range(..end)
                    .take(ROWS_PER_STEP)
                    .map(fjall::Guard::key);
                for key in old.collect::<Result<Vec<_>, _>>()? {
                    commit.remove(space, &key);
                    removed += 1;
                }
            }
            Ok(removed)
        })
        .await
    }

    async fn sweep_stream(&self, shard: u8, consumers: &[&str]) -> Result<u64, StorageError> {
        let mut slowest = u64::MAX;
        for consumer in consumers {
            slowest = slowest.min(self.checkpoint(consumer, shard)?.count());
        }
        let keep_from = slowest.saturating_sub(STREAM_KEPT_RECORDS);
        if consumers.is_empty() || keep_from == 0 {
            return Ok(0);
        }
        self.commit(move |commit| {
            let stream = commit.spaces().shard(shard)?;
            let old = stream.range(..keep_from.to_be_bytes());
            let keys = old
                .take(ROWS_PER_STEP)
                .map(fjall::Guard::key)
                .collect::<Result<Vec<_>, _>>()?;
            // The last of them may contain records that are kept.
            let whole = keys.len().saturating_sub(1);
            for key in keys.iter().take(whole) {
                commit.remove(stream, key);
            }
            Ok(whole as u64)
        })
        .await
    }
}
