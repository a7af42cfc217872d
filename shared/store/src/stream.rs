//! The sharded stream: ticks in the order they were appended, each with a sequence number.

use app::ports::{PortError, Refused, SequenceNumber, StreamRecord, TickStream};
use async_trait::async_trait;
use domain::{Tick, Token, cohort_bucket};

use crate::block::{self, EncodedTicks};
use crate::embedded::{Embedded, Inner};
use crate::error::StorageError;
use crate::spaces::number_of;

/// Shards of the stream. A token's ticks are all in one.
pub const SHARDS: u8 = 4;

/// The shard of a token: by the same stable hash that draws the cohort.
pub(crate) fn shard_of(token: &Token) -> u8 {
    u8::try_from(cohort_bucket(token.as_str()) % u16::from(SHARDS)).unwrap_or_default()
}

#[async_trait]
impl TickStream for Embedded {
    async fn append(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        let mut by_shard: [Vec<&Tick>; SHARDS as usize] = Default::default();
        for tick in ticks {
            let shard = usize::from(shard_of(&tick.token));
            if let Some(shard) = by_shard.get_mut(shard) {
                shard.push(tick);
            }
        }
        let encoded = by_shard.map(|ticks| EncodedTicks::of(&ticks));
        self.commit(move |commit| {
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

impl Embedded {
    /// The last sequence number of each shard.
    #[must_use]
    pub fn heads(&self) -> [SequenceNumber; SHARDS as usize] {
        self.inner
            .look(|state| state.heads.map(SequenceNumber::from))
    }

    /// Records of a shard after a sequence number, in order: at least one block where there is
    /// one, and at most `limit` records where blocks are smaller.
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
            .look(|state| state.heads.get(usize::from(shard)).copied())
            <= Some(after.count())
        {
            return Ok(Vec::new());
        }
        self.read(move |inner| read_after(inner, shard, after.count(), limit))
            .await
    }

    /// Where a consumer stands in a shard.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn checkpoint(&self, consumer: &str, shard: u8) -> Result<SequenceNumber, StorageError> {
        let found = self
            .inner
            .spaces
            .meta
            .get(checkpoint_key(consumer, shard))?;
        found.map_or(Ok(SequenceNumber::START), |bytes| {
            number_of(&bytes).map(SequenceNumber::from)
        })
    }
}

/// The name of a consumer's checkpoint in the `meta` keyspace.
pub(crate) fn checkpoint_key(consumer: &str, shard: u8) -> String {
    format!("checkpoint/{consumer}/{shard}")
}

/// Records of a shard after a number: whole blocks, until at least `limit` records.
pub(crate) fn read_after(
    inner: &Inner,
    shard: u8,
    after: u64,
    limit: usize,
) -> Result<Vec<StreamRecord>, StorageError> {
    let space = inner.spaces.shard(shard)?;
    // The block that holds `after + 1` begins at or before it.
    let wanted = after.saturating_add(1);
    let first = match space.range(..=wanted.to_be_bytes()).next_back() {
        Some(guard) => number_of(&guard.key()?)?,
        None => wanted,
    };
    let mut records = Vec::new();
    for guard in space.range(first.to_be_bytes()..) {
        let (key, value) = guard.into_inner()?;
        let first = number_of(&key)?;
        for (sequence, tick) in (first..).zip(block::read(&value)?) {
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
