//! Archives the stream range by range. A range is recorded before it is written, so exactly the same
//! files are written again after a crash.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use app::ports::{PortError, SequenceNumber};
use archive::{Archive, ArchiveError};
use domain::{Malformed, Tick};
use serde::{Deserialize, Serialize};

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::stream_block::SHARDS;
use crate::keys::{self, meta};

/// Where an unprocessable tick is said to come from.
const ORIGIN: &str = "archive";

/// The most ticks of a range, which is in memory while it is sorted and written.
const RANGE_TICKS_MAX: usize = 50_000;

/// The result of a flush.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Ticks taken from the stream.
    pub ticks: u64,
    /// Files written.
    pub files: usize,
}

/// Why a flush stopped. Everything written before is kept, and the next flush continues.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// The stream or the checkpoint cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file cannot be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A tick that cannot be written could not be quarantined.
    #[error("a tick that the archive cannot represent could not be quarantined: {}", .0.source)]
    Quarantine(#[from] PortError),
    /// The write was stopped.
    #[error("the write was stopped")]
    Stopped,
}

/// Separates the ticks that can be written from those that cannot.
fn separate(ticks: &[Tick]) -> (Vec<Tick>, Vec<Malformed>) {
    let (mut good, mut poison) = (Vec::with_capacity(ticks.len()), Vec::new());
    for tick in ticks {
        let checked = std::panic::catch_unwind(AssertUnwindSafe(|| Archive::check(tick)));
        match checked {
            Ok(Ok(())) => good.push(tick.clone()),
            Ok(Err(error)) => poison.push(app::poison::unprocessable(tick, error)),
            Err(_) => poison.push(app::poison::unprocessable(
                tick,
                "the archive panicked on it",
            )),
        }
    }
    (good, poison)
}

/// A range of a shard that is being written.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Intent {
    first: u64,
    last: u64,
}

/// Writes the stream to the archive. One flush runs at a time.
pub struct Archiver {
    store: EmbeddedStore,
    archive: Arc<Archive>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

impl Archiver {
    /// An archiver of a store's stream into a folder.
    #[must_use]
    pub fn new(store: EmbeddedStore, archive: Arc<Archive>) -> Self {
        Self {
            store,
            archive,
            one_at_a_time: tokio::sync::Mutex::default(),
        }
    }

    /// The number of ticks in the stream that are not in the archive.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn lag_ticks(&self) -> Result<u64, StorageError> {
        self.store.lag_records(meta::ARCHIVE)
    }

    /// Waits until no flush is running, and keeps flushes waiting until the result is dropped.
    pub(crate) async fn pause(&self) -> impl Drop + '_ {
        self.one_at_a_time.lock().await
    }

    /// Writes all ticks of the stream that are not in the archive. A shard that fails does not stop the others.
    ///
    /// # Errors
    /// [`FlushError`], the first one.
    pub async fn flush(&self) -> Result<Flushed, FlushError> {
        let _one = self.one_at_a_time.lock().await;
        let mut flushed = Flushed::default();
        let mut failed = None;
        for (shard, end) in (0..SHARDS).zip(self.store.end_offsets()) {
            if let Err(error) = self.flush_shard(shard, end, &mut flushed).await {
                tracing::error!(shard, error = %error, "a shard could not be archived");
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(flushed), Err)
    }

    async fn flush_shard(
        &self,
        shard: u8,
        end: SequenceNumber,
        flushed: &mut Flushed,
    ) -> Result<(), FlushError> {
        loop {
            let after = self.store.checkpoint(meta::ARCHIVE, shard)?;
            let intent = self
                .intent(shard)?
                .filter(|intent| intent.last > after.count());
            let limit = intent.map_or(RANGE_TICKS_MAX, |intent| {
                usize::try_from(intent.last - after.count()).unwrap_or(RANGE_TICKS_MAX)
            });
            if after >= end && intent.is_none() {
                return Ok(());
            }
            let mut records = self.store.read_stream(shard, after, limit).await?;
            if let Some(intent) = intent {
                records.retain(|record| record.sequence.count() <= intent.last);
            }
            let (Some(first), Some(last)) = (records.first(), records.last()) else {
                return Ok(());
            };
            let range = Intent {
                first: first.sequence.count(),
                last: last.sequence.count(),
            };
            if intent.is_none() {
                self.record(shard, range).await?;
            }
            let ticks: Vec<Tick> = records.into_iter().map(|record| record.tick).collect();
            flushed.ticks += ticks.len() as u64;
            flushed.files += self.write(shard, range, ticks).await?;
            self.finish(shard, range).await?;
        }
    }

    /// Writes a range; returns the number of files. Ticks that the archive cannot represent are quarantined, and
    /// the others are written: the same ones each time, so a range may be repeated.
    async fn write(&self, shard: u8, range: Intent, ticks: Vec<Tick>) -> Result<usize, FlushError> {
        let ticks = Arc::new(ticks);
        let failed = match self.try_write(shard, range, Arc::clone(&ticks)).await {
            Err(
                error @ (FlushError::Stopped
                | FlushError::Archive(
                    ArchiveError::Columns(_) | ArchiveError::Timestamp { .. },
                )),
            ) => error,
            written => return written,
        };
        let received_ms = ticks.iter().map(|tick| tick.ingested_at_ms).max();
        let received_ms = received_ms.unwrap_or_default();
        let separate = move || separate(&ticks);
        let (good, poison) = tokio::task::spawn_blocking(separate)
            .await
            .map_err(|_| FlushError::Stopped)?;
        if poison.is_empty() {
            return Err(failed);
        }
        app::poison::keep(&self.store, ORIGIN, poison, received_ms).await?;
        self.try_write(shard, range, Arc::new(good)).await
    }

    async fn try_write(
        &self,
        shard: u8,
        range: Intent,
        ticks: Arc<Vec<Tick>>,
    ) -> Result<usize, FlushError> {
        let archive = Arc::clone(&self.archive);
        let written = tokio::task::spawn_blocking(move || {
            archive.write_range(shard, range.first, range.last, &ticks)
        });
        Ok(written.await.map_err(|_| FlushError::Stopped)??.files)
    }

    fn intent(&self, shard: u8) -> Result<Option<Intent>, StorageError> {
        let found = self
            .store
            .inner
            .spaces
            .meta
            .get(meta::archive_range(shard))?;
        let read = |bytes: fjall::Slice| keys::decode("archive range", &bytes);
        found.map(read).transpose()
    }

    async fn record(&self, shard: u8, intent: Intent) -> Result<(), StorageError> {
        let value = keys::encode("archive range", &intent)?;
        let write = move |commit: &mut crate::writer::Commit<'_>| {
            commit.insert(
                &commit.spaces().meta,
                meta::archive_range(shard).as_bytes(),
                value,
            );
            Ok(())
        };
        self.store.commit(write).await
    }

    async fn finish(&self, shard: u8, range: Intent) -> Result<(), StorageError> {
        let write = move |commit: &mut crate::writer::Commit<'_>| {
            let key = meta::checkpoint(meta::ARCHIVE, shard);
            commit.insert(
                &commit.spaces().meta,
                key.as_bytes(),
                range.last.to_be_bytes().to_vec(),
            );
            commit.remove(&commit.spaces().meta, meta::archive_range(shard).as_bytes());
            Ok(())
        };
        self.store.commit(write).await
    }
}

#[cfg(test)]
mod tests {
    use app::ports::TickStream as _;
    use testkit::ticks::ticks;

    use super::*;
    use crate::embedded::EmbeddedConfig;

    #[tokio::test]
    async fn a_shard_that_fails_does_not_stop_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig::new(folder.path().join("store"));
        let store = EmbeddedStore::open(&config).unwrap();
        let made = ticks(&["BTC", "ETH", "SOL", "JUP", "WIF", "BONK"], 5);
        let refs: Vec<_> = made.iter().collect();
        store.append(&refs, None).await.unwrap();
        let broken = (0..SHARDS)
            .zip(store.end_offsets())
            .find(|(_, end)| end.count() > 0)
            .unwrap();
        let damage = move |commit: &mut crate::writer::Commit<'_>| {
            let key = meta::archive_range(broken.0);
            commit.insert(&commit.spaces().meta, key.as_bytes(), Vec::new());
            Ok(())
        };
        store.commit(damage).await.unwrap();
        let archive = Arc::new(Archive::open(folder.path()).unwrap());
        let archiver = Archiver::new(store.clone(), archive);
        assert!(broken.1.count() < 30, "several shards have ticks");
        archiver.flush().await.unwrap_err();
        assert_eq!(archiver.lag_ticks().unwrap(), broken.1.count());
    }
}
