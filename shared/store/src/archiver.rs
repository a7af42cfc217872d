//! Archives the stream range by range. A range is recorded before it is written, so exactly the same
//! files are written again after a crash. So are the ticks that it omits, since they cannot be written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use app::bisect::{Cause, Failed, Suspect, bisect};
use app::poison;
use app::ports::{Clock, SequenceNumber, StreamRecord};
use archive::{ArchiveError, Written};
use domain::Tick;
use serde::{Deserialize, Serialize};

use crate::archiver::trial::Trial;
use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::stream_block::SHARDS;
use crate::keys::{self, meta};
use crate::quarantine;
use crate::writer::Commit;

mod trial;

pub use trial::RangeWriter;

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
    /// The write was stopped.
    #[error("the write was stopped")]
    Stopped,
    /// No tick of a range can be written, or they cannot be written together.
    #[error(
        "the records {first} to {last} of shard {shard} cannot be written; the stream keeps them: {cause}"
    )]
    Unwritable {
        /// The shard.
        shard: u8,
        /// The first record.
        first: u64,
        /// The last record.
        last: u64,
        /// The error or panic.
        cause: String,
    },
}

/// A range of a shard that is being written.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Intent {
    first: u64,
    last: u64,
}

/// The most records before a range, after it, and of each other shard that are tried if no record of the range can
/// be written: if one of these can, the range is at fault.
const WITNESSES_MAX: usize = 8;

/// Writes the stream to the archive. One flush runs at a time.
pub struct Archiver {
    store: EmbeddedStore,
    archive: Arc<dyn RangeWriter>,
    clock: Arc<dyn Clock>,
    one_at_a_time: tokio::sync::Mutex<()>,
    /// When the last file was written since the start, in epoch milliseconds; 0 if there is none.
    written_at_ms: AtomicI64,
}

impl Archiver {
    /// An archiver of a store's stream into an archive, usually an [`archive::Archive`].
    #[must_use]
    pub fn new(store: EmbeddedStore, archive: Arc<dyn RangeWriter>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            archive,
            clock,
            one_at_a_time: tokio::sync::Mutex::default(),
            written_at_ms: AtomicI64::new(0),
        }
    }

    /// The number of ticks in the stream that are not in the archive.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn lag_ticks(&self) -> Result<u64, StorageError> {
        self.store.lag_records(meta::ARCHIVE)
    }

    /// When the last file was written since the start, in epoch milliseconds.
    #[must_use]
    pub fn last_written_ms(&self) -> Option<i64> {
        let at_ms = self.written_at_ms.load(Ordering::Relaxed);
        (at_ms > 0).then_some(at_ms)
    }

    /// Waits until no flush is running, and keeps flushes waiting until the result is dropped.
    pub(crate) async fn pause(&self) -> impl Drop + '_ {
        self.one_at_a_time.lock().await
    }

    /// Writes all ticks of the stream that are not in the archive. A tick that cannot be written is set aside in
    /// the quarantine. A shard that fails does not stop the others.
    ///
    /// # Errors
    /// [`FlushError`], that of the first shard that failed.
    pub async fn flush(&self) -> Result<Flushed, FlushError> {
        let _one = self.one_at_a_time.lock().await;
        let mut flushed = Flushed::default();
        let mut outcome = Ok(());
        for (shard, end) in (0..SHARDS).zip(self.store.end_offsets()) {
            outcome = outcome.and(self.flush_shard(shard, end, &mut flushed).await);
        }
        if flushed.files > 0 {
            self.written_at_ms
                .store(self.clock.now_ms(), Ordering::Relaxed);
        }
        outcome.map(|()| flushed)
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
            let read = records.len() as u64;
            let omitted = self.omitted(shard)?;
            records.retain(|record| !omitted.contains(&record.sequence.count()));
            match self.write(shard, range, &records).await {
                Ok(written) => {
                    self.finish(shard, range).await?;
                    flushed.ticks += read;
                    flushed.files += written.files;
                }
                Err(Failed::Transient(cause)) => return Err(transient(cause)),
                Err(Failed::Suspected(cause)) => {
                    self.set_aside(shard, range, omitted, &records, cause)
                        .await?;
                }
            }
        }
    }

    async fn write(
        &self,
        shard: u8,
        range: Intent,
        records: &[StreamRecord],
    ) -> Result<Written, Failed> {
        let write = move |archive: &dyn RangeWriter, ticks: &[Tick]| {
            archive.write_range(shard, range.first, range.last, ticks)
        };
        trial::run(&self.archive, records, write).await
    }

    /// Sets aside the ticks of a range that cannot be written. The range is then written without them, also after
    /// a crash.
    async fn set_aside(
        &self,
        shard: u8,
        range: Intent,
        mut omitted: BTreeSet<u64>,
        records: &[StreamRecord],
        cause: Cause,
    ) -> Result<(), FlushError> {
        let mut trial = Trial::new(Arc::clone(&self.archive), shard, range);
        let witnesses = self.witnesses(shard, range).await?;
        let unwritable = |cause: Cause| FlushError::Unwritable {
            shard,
            first: range.first,
            last: range.last,
            cause: cause.to_string(),
        };
        match bisect(records, &witnesses, &mut trial).await {
            // The ticks can be written one by one.
            Ok(0) => return Err(unwritable(cause)),
            Ok(_) => {}
            Err(Failed::Transient(cause)) => return Err(transient(cause)),
            Err(Failed::Suspected(cause)) => return Err(unwritable(cause)),
        }
        let now_ms = self.clock.now_ms();
        let entry = |suspect: &Suspect<StreamRecord>| {
            poison::unprocessable(meta::ARCHIVE, shard, suspect, now_ms)
        };
        let entries: Vec<_> = trial.found().iter().map(entry).collect();
        let found = trial.found().iter();
        omitted.extend(found.map(|suspect| suspect.record.sequence.count()));
        let rows = quarantine::Rows::of(&entries)?;
        let omitted = keys::encode("omitted records", &omitted)?;
        let write = move |commit: &mut Commit<'_>| {
            rows.insert(commit);
            let key = meta::archive_omitted(shard);
            commit.insert(&commit.spaces().meta, key.as_bytes(), omitted);
            Ok(())
        };
        self.store.commit(write).await?;
        self.store.report_set_aside(meta::ARCHIVE, &entries);
        Ok(())
    }

    /// Records near a range, and the last ones of the other shards.
    async fn witnesses(&self, shard: u8, range: Intent) -> Result<Vec<StreamRecord>, StorageError> {
        let before = |number: u64| number.saturating_sub(WITNESSES_MAX as u64 + 1);
        let mut places = vec![(shard, before(range.first)), (shard, range.last)];
        let others = (0..SHARDS).zip(self.store.end_offsets());
        let others = others.filter(|(other, _)| *other != shard);
        places.extend(others.map(|(other, end)| (other, before(end.count()))));
        let mut found = Vec::new();
        for (from, after) in places {
            let after = SequenceNumber::from(after);
            let mut read = self.store.read_stream(from, after, WITNESSES_MAX).await?;
            read.retain(|record| {
                let sequence = record.sequence.count();
                from != shard || sequence < range.first || sequence > range.last
            });
            read.truncate(WITNESSES_MAX);
            found.append(&mut read);
        }
        Ok(found)
    }

    /// The records that the range omits.
    fn omitted(&self, shard: u8) -> Result<BTreeSet<u64>, StorageError> {
        let meta = &self.store.inner.spaces.meta;
        let found = meta.get(meta::archive_omitted(shard))?;
        let read = |bytes: fjall::Slice| keys::decode("omitted records", &bytes);
        Ok(found.map(read).transpose()?.unwrap_or_default())
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
        let write = move |commit: &mut Commit<'_>| {
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
        let write = move |commit: &mut Commit<'_>| {
            let key = meta::checkpoint(meta::ARCHIVE, shard);
            commit.insert(
                &commit.spaces().meta,
                key.as_bytes(),
                range.last.to_be_bytes().to_vec(),
            );
            for key in [meta::archive_range(shard), meta::archive_omitted(shard)] {
                commit.remove(&commit.spaces().meta, key.as_bytes());
            }
            Ok(())
        };
        self.store.commit(write).await
    }
}

/// The error of a write that failed although its ticks are valid.
fn transient(cause: Cause) -> FlushError {
    match cause.downcast::<ArchiveError>() {
        Ok(error) => FlushError::Archive(*error),
        Err(_) => FlushError::Stopped,
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
        let damage = move |commit: &mut Commit<'_>| {
            let key = meta::archive_range(broken.0);
            commit.insert(&commit.spaces().meta, key.as_bytes(), Vec::new());
            Ok(())
        };
        store.commit(damage).await.unwrap();
        let archive = Arc::new(archive::Archive::open(folder.path()).unwrap());
        let archiver = Archiver::new(store.clone(), archive, Arc::new(|| 0_i64));
        assert!(broken.1.count() < 30, "several shards have ticks");
        archiver.flush().await.unwrap_err();
        assert_eq!(archiver.lag_ticks().unwrap(), broken.1.count());
    }
}
