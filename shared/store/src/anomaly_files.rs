//! The anomalies as files for SQL: Parquet in `anomalies/year=YYYY/month=MM/day=DD/`, by the UTC day of the event time,
//! in the same format as on AWS.
//!
//! The store has the anomalies, and the files are copies, which stay when retention removes the rows. Each flush looks
//! at the rows that were written since the day before the last flush, and adds those that the files lack. So a flush
//! that was killed anywhere is completed by the next one.

use std::path::Path;
use std::sync::Arc;

use app::ports::PortError;
use archive::{AnomalyArchive, ArchiveError, Folder};
use domain::analytics::Anomaly;
use tokio::sync::Mutex;

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::day::Day;
use crate::keys::{anomaly, meta};
use crate::shared_state::SharedState;
use crate::writer::Commit;

/// Why a flush stopped. What was written before is kept, and the next flush continues.
#[derive(Debug, thiserror::Error)]
pub enum AnomalyFilesError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The files cannot be read or written.
    #[error("{error}: {}", error.source)]
    Files {
        /// The cause.
        #[from]
        error: PortError,
    },
}

/// The rows that a flush looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    from: Day,
    count: usize,
}

/// Writes the anomalies of a store to files. One flush runs at a time, also among clones.
#[derive(Clone)]
pub struct AnomalyFiles {
    store: EmbeddedStore,
    files: AnomalyArchive,
    /// What the last flush of this process read. If nothing was added since then, there is nothing to write.
    seen: Arc<Mutex<Option<Seen>>>,
}

impl AnomalyFiles {
    /// The files of a store's anomalies in a data folder. Folders are created when they are first needed.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] if leftovers of a stopped process cannot be removed.
    pub fn open(store: EmbeddedStore, data_dir: &Path) -> Result<Self, ArchiveError> {
        let folder = Folder::of_anomalies(data_dir)?;
        Ok(Self {
            store,
            files: AnomalyArchive::new(Arc::new(folder)),
            seen: Arc::default(),
        })
    }

    /// Waits until no flush is running, and keeps flushes waiting until the result is dropped.
    pub(crate) async fn pause(&self) -> impl Drop + '_ {
        self.seen.lock().await
    }

    /// Writes the anomalies that are not in the files yet. Returns their number.
    ///
    /// # Errors
    /// [`AnomalyFilesError`].
    pub async fn flush(&self) -> Result<u64, AnomalyFilesError> {
        let mut seen = self.seen.lock().await;
        let last = *seen;
        let look = move |inner: &SharedState| {
            let today = inner.today();
            // A row may be written just after the day of its key has ended.
            let yesterday = today.saturating_sub(1);
            let recorded = inner.spaces.meta.get(meta::ANOMALIES_WRITTEN)?;
            let recorded = recorded.as_deref().and_then(<[u8]>::first_chunk::<2>);
            let recorded = recorded.map(|bytes| Day::from_be_bytes(*bytes));
            let from = recorded.unwrap_or_default().max(inner.first_day());
            let rows = || inner.spaces.anomalies.range(from.to_be_bytes()..);
            let found = Seen {
                from,
                count: rows().count(),
            };
            let mut anomalies: Vec<Anomaly> = Vec::new();
            if last != Some(found) {
                for guard in rows() {
                    match anomaly::decode(&guard.value()?) {
                        Ok(anomaly) => anomalies.push(anomaly),
                        // It must not keep the others out of the files.
                        Err(error) => {
                            tracing::error!(cause = %error, "an anomaly cannot be read and is left out of the files");
                        }
                    }
                }
            }
            let record = (recorded != Some(yesterday)).then_some(yesterday);
            Ok((found, anomalies, record))
        };
        let (found, anomalies, record): (Seen, Vec<Anomaly>, Option<Day>) =
            self.store.read(look).await?;
        let written = self.files.add(&anomalies).await?;
        if let Some(day) = record {
            self.record(day).await?;
        }
        *seen = Some(found);
        Ok(written)
    }

    /// Records that the files have all rows of the days before one.
    async fn record(&self, day: Day) -> Result<(), StorageError> {
        let write = move |commit: &mut Commit<'_>| {
            commit.insert(
                &commit.spaces().meta,
                meta::ANOMALIES_WRITTEN.as_bytes(),
                day.to_be_bytes().to_vec(),
            );
            Ok(())
        };
        self.store.commit(write).await
    }
}
