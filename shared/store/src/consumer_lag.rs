//! How far the consumers of the stream are behind.

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::meta;

/// What a consumer has not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// The number of records.
    pub records: u64,
    /// The age of the oldest of them; 0 if there is none.
    pub age_ms: i64,
}

impl EmbeddedStore {
    /// How far a consumer is behind at a time (epoch milliseconds): in records, and by the age of its oldest
    /// unread record.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn consumer_lag(&self, consumer: &str, now_ms: i64) -> Result<Lag, StorageError> {
        let (mut records, mut oldest_ms) = (0, now_ms);
        for (shard, end) in (0_u8..).zip(self.end_offsets()) {
            let at = self.checkpoint(consumer, shard)?;
            let behind = end.count().saturating_sub(at.count());
            if behind > 0
                && let Some(record) = self.read_stream(shard, at, 1).await?.first()
            {
                oldest_ms = oldest_ms.min(record.tick.ingested_at_ms);
            }
            records += behind;
        }
        Ok(Lag {
            records,
            age_ms: now_ms - oldest_ms,
        })
    }

    /// The records that the archive has taken from the stream, besides those that it omitted since the start.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn archived_records(&self) -> Result<u64, StorageError> {
        let waiting = self.lag_records(meta::ARCHIVE)?;
        let taken = self.stream_records().saturating_sub(waiting);
        Ok(taken.saturating_sub(self.set_aside(meta::ARCHIVE)))
    }

    /// The records that were ever appended to the stream.
    #[must_use]
    pub fn stream_records(&self) -> u64 {
        self.end_offsets().iter().map(|end| end.count()).sum()
    }
}
