//! The sharded stream: ticks in the order in which they were appended, each with a sequence number.

use std::collections::{HashMap, HashSet};

use app::ports::{OutboxId, PortError, Refused, SequenceNumber, StreamRecord, TickStream};
use async_trait::async_trait;
use domain::{Pair, Tick};

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::outbox_entry::Entry;
use crate::keys::stream_block::{self, EncodedTicks, SHARDS, shard_of};
use crate::keys::tick::Identity;
use crate::keys::{meta, number_of, tick};
use crate::shared_state::SharedState;

#[async_trait]
impl TickStream for EmbeddedStore {
    async fn append(
        &self,
        ticks: &[&Tick],
        outbox_id: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        let mut by_shard: [Vec<&Tick>; SHARDS as usize] = Default::default();
        for tick in ticks {
            let shard = usize::from(shard_of(&tick.token));
            if let Some(shard) = by_shard.get_mut(shard) {
                shard.push(tick);
            }
        }
        let encoded = by_shard.map(|ticks| EncodedTicks::of(&ticks));
        let entry = outbox_id
            .map(|OutboxId(number)| self.identities(ticks).map(|streamed| (number, streamed)));
        let entry = entry
            .transpose()
            .map_err(|error: StorageError| error.at("append to the stream"))?;
        self.commit(move |commit| {
            if let Some((number, streamed)) = &entry {
                commit.mark_streamed(*number, streamed)?;
            }
            for (shard, encoded) in (0_u8..).zip(&encoded) {
                if let Some(block) = commit.stream_block(shard) {
                    block.push(encoded);
                }
            }
            Ok(Vec::new())
        })
        .await
        .map_err(|error| error.at("append to the stream"))
    }
}

impl EmbeddedStore {
    /// The identities of ticks; a pair that is not known has no stored tick.
    fn identities(&self, ticks: &[&Tick]) -> Result<HashSet<Identity>, StorageError> {
        let mut identities = HashSet::with_capacity(ticks.len());
        for tick in ticks {
            if let Some(number) = self.inner.pair_number(&Pair::of(tick))? {
                let id = tick.tick_id.as_bytes();
                identities.insert(tick::identity(number, tick.timestamp_ms, id));
            }
        }
        Ok(identities)
    }

    /// The end offset of each shard: the sequence number of its last record.
    #[must_use]
    pub fn end_offsets(&self) -> [SequenceNumber; SHARDS as usize] {
        self.inner
            .with_state(|state| state.end_offsets.map(SequenceNumber::from))
    }

    /// How many blocks of the stream could not be read since the start, and were skipped. Their ticks are in the
    /// store, but not in the analysis or the archive.
    #[must_use]
    pub fn unreadable_blocks(&self) -> u64 {
        self.inner.unreadable_blocks()
    }

    /// Records of a shard after a sequence number, in order: whole blocks, at least one if there is any,
    /// until there are at least `limit` records.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn read_stream(
        &self,
        shard: u8,
        after: SequenceNumber,
        limit: usize,
    ) -> Result<Vec<StreamRecord>, StorageError> {
        if self
            .inner
            .with_state(|state| state.end_offsets.get(usize::from(shard)).copied())
            <= Some(after.count())
        {
            return Ok(Vec::new());
        }
        self.read(move |inner| read_after(inner, shard, after.count(), limit))
            .await
    }

    /// The number of records that a consumer has not processed yet.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn lag_records(&self, consumer: &str) -> Result<u64, StorageError> {
        let mut lag = 0;
        for (shard, end) in (0..SHARDS).zip(self.end_offsets()) {
            let done = self.checkpoint(consumer, shard)?;
            lag += end.count().saturating_sub(done.count());
        }
        Ok(lag)
    }

    /// The last record of a shard that a consumer has processed.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn checkpoint(&self, consumer: &str, shard: u8) -> Result<SequenceNumber, StorageError> {
        self.inner.checkpoint(consumer, shard)
    }

    /// Appends stored ticks that the stream lacks, except those in the outbox: they will be appended once their entry is
    /// drained. Returns how many were appended.
    ///
    /// That the stream lacks them must have been read after the store and the outbox, in this order, as `ops::verify` does:
    /// then nothing else appends them meanwhile.
    ///
    /// # Errors
    /// [`StorageError`].
    pub(crate) async fn append_missing(&self, ticks: &[Tick]) -> Result<u64, StorageError> {
        self.check_disk()?;
        let mut by_identity = HashMap::with_capacity(ticks.len());
        for tick in ticks {
            if let Some(number) = self.inner.pair_number(&Pair::of(tick))? {
                let id = tick.tick_id.as_bytes();
                let identity = tick::identity(number, tick.timestamp_ms, id);
                by_identity.insert(identity, tick.clone());
            }
        }
        self.commit(move |commit| {
            // In the commit itself: each append of the outbox is in one before it or after it.
            for guard in commit.spaces().outbox.iter() {
                let entry = Entry::decode(&guard.value()?)?;
                for key in &entry.keys {
                    by_identity.remove(&tick::identity_of(key));
                }
            }
            let mut by_shard: [Vec<&Tick>; SHARDS as usize] = Default::default();
            for tick in by_identity.values() {
                if let Some(shard) = by_shard.get_mut(usize::from(shard_of(&tick.token))) {
                    shard.push(tick);
                }
            }
            for (shard, mut ticks) in (0_u8..).zip(by_shard) {
                ticks.sort_unstable_by_key(|tick| tick.order());
                if let Some(block) = commit.stream_block(shard) {
                    block.push(&EncodedTicks::of(&ticks));
                }
            }
            Ok(by_identity.len() as u64)
        })
        .await
    }
}

impl SharedState {
    /// The newest time of receipt of the records of a shard that may have been removed, epoch milliseconds; `None` if that
    /// is not known.
    pub(crate) fn removed_until_ms(&self, shard: u8) -> Result<Option<i64>, StorageError> {
        let found = self.spaces.meta.get(meta::removed_until(shard))?;
        let read = found.map(|bytes| {
            let bytes = bytes.as_ref().try_into();
            bytes.map(i64::from_be_bytes)
        });
        read.transpose()
            .map_err(|error| StorageError::corrupt("removed-until", error))
    }

    /// The last record of a shard that a consumer has processed.
    pub(crate) fn checkpoint(
        &self,
        consumer: &str,
        shard: u8,
    ) -> Result<SequenceNumber, StorageError> {
        let found = self.spaces.meta.get(meta::checkpoint(consumer, shard))?;
        found.map_or(Ok(SequenceNumber::START), |bytes| {
            number_of(&bytes).map(SequenceNumber::from)
        })
    }
}

/// Records of a shard after a number: whole blocks, until at least `limit` records.
pub(crate) fn read_after(
    inner: &SharedState,
    shard: u8,
    after: u64,
    limit: usize,
) -> Result<Vec<StreamRecord>, StorageError> {
    let space = inner.spaces.shard(shard)?;
    // The block with `after + 1` begins at or before it.
    let wanted = after.saturating_add(1);
    let first = match space.range(..=wanted.to_be_bytes()).next_back() {
        Some(guard) => number_of(&guard.key()?)?,
        None => wanted,
    };
    let mut records = Vec::new();
    for guard in space.range(first.to_be_bytes()..) {
        let (key, value) = guard.into_inner()?;
        let first = number_of(&key)?;
        let ticks = match stream_block::read(&value) {
            Ok(ticks) => ticks,
            // The ticks are in the store; the others of the shard must reach its consumers.
            Err(error @ StorageError::Corrupt { .. }) => {
                if inner.is_first_sight_of(shard, first) {
                    tracing::error!(shard, first, error = %error, "a block of the stream is skipped");
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        for (sequence, tick) in (first..).zip(ticks) {
            if sequence > after {
                records.push(StreamRecord {
                    sequence: SequenceNumber::from(sequence),
                    tick,
                });
            }
        }
        if records.len() >= limit {
            break;
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use testkit::ticks::ticks;

    use super::*;
    use crate::embedded::EmbeddedConfig;

    #[tokio::test]
    async fn a_block_that_cannot_be_read_does_not_stop_its_shard() {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig::new(folder.path().to_owned());
        let store = EmbeddedStore::open(&config).unwrap();
        let made = ticks(&["BTC"], 9);
        for part in made.chunks(3) {
            store
                .append(&part.iter().collect::<Vec<_>>(), None)
                .await
                .unwrap();
        }
        let shard = shard_of(&made[0].token);
        let space = &store.inner.spaces.stream[usize::from(shard)];
        space.insert(4_u64.to_be_bytes(), b"damaged").unwrap();
        let read = async |after| {
            let records = store.read_stream(shard, SequenceNumber::from(after), 100);
            let records = records.await.unwrap();
            records
                .iter()
                .map(|it| it.sequence.count())
                .collect::<Vec<_>>()
        };
        assert_eq!(read(0).await, [1, 2, 3, 7, 8, 9]);
        assert_eq!(read(3).await, [7, 8, 9]);
        assert_eq!(read(5).await, [7, 8, 9]);
        assert_eq!(store.unreadable_blocks(), 1);
    }
}
