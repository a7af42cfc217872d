//! A backup of a data folder while it is in use: the store, and the files of the archive, the quarantine and the anomalies,
//! as they were at one moment between two commits.
//!
//! No flush of these runs while the files are taken, so the archive has exactly the
//! ranges that the store's checkpoints say. If the archive's files were taken before the store, a flush in
//! between would move the checkpoint past ticks that the copied files lack: they would be lost. If they were
//! taken after it, they would have ranges that the restored store does not know of: it would give their
//! sequence numbers to other ticks, and write the old ones again.
//!
//! Files that are never changed in place get a second name (a hard link), which takes neither time nor room;
//! the others are copied. A backup is put together beside the data, checked by opening it, and only then
//! gets its name.

mod backup_error;
mod day_files;
mod engine_files;
mod file_copy;
mod made;
mod staging;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;

pub use backup_error::BackupError;
pub use made::BackupsMade;

use crate::anomaly_files::AnomalyFiles;
use crate::archiver::Archiver;
use crate::embedded::{EmbeddedConfig, EmbeddedStore};
use crate::keys;
use crate::quarantine_files::{self, QuarantineFiles};
use engine_files::Captured;
use file_copy::Tally;
use staging::Staging;

/// The folder of the store inside a data folder.
pub const STORE_FOLDER: &str = "store";

/// Makes backups of a data folder, one at a time.
pub struct Backups {
    store: EmbeddedStore,
    archiver: Arc<Archiver>,
    quarantine: QuarantineFiles,
    anomalies: AnomalyFiles,
    data_dir: PathBuf,
    backup_dir: PathBuf,
}

/// A finished backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// Its folder, which is a data folder.
    pub path: PathBuf,
    /// The ticks in its store.
    pub ticks: u64,
    /// The number of its files.
    pub files: u64,
    /// The sum of their sizes.
    pub bytes: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// How long writes waited for it.
    pub paused: Duration,
}

impl Backups {
    /// Backups of the data folder of a store, its archive, its quarantine and its anomalies, into folders of `backup_dir`,
    /// which is created when it is first needed.
    #[must_use]
    pub fn new(
        store: EmbeddedStore,
        archiver: Arc<Archiver>,
        quarantine: QuarantineFiles,
        anomalies: AnomalyFiles,
        data_dir: &Path,
        backup_dir: &Path,
    ) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            store,
            archiver,
            quarantine,
            anomalies,
            data_dir: absolute(data_dir),
            backup_dir: absolute(backup_dir),
        }
    }

    /// The folder of the backups.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.backup_dir
    }

    /// Makes a backup, which gets its name from the time. Everything that the store had answered before the
    /// call is in it. Writes wait while the journal is copied. If it fails, nothing is left.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn run(&self, now_ms: i64) -> Result<BackedUp, BackupError> {
        let begun = Instant::now();
        let name = name_at(now_ms);
        let (data_dir, backup_dir) = (self.data_dir.clone(), self.backup_dir.clone());
        let staging = blocking(move || Staging::begin(&data_dir, &backup_dir, name)).await?;
        let staging = Arc::new(staging);
        let captured = self.take_files(&staging).await?;
        let (ticks, paused) = (captured.ticks, captured.paused);
        let (path, tally) = blocking(move || {
            let partial = staging.move_to_backups()?;
            check(&partial, &captured)?;
            let tally = Tally::of(&partial)?;
            Ok((staging.publish()?, tally))
        })
        .await?;
        Ok(BackedUp {
            path,
            ticks,
            files: tally.files,
            bytes: tally.bytes,
            elapsed: begun.elapsed(),
            paused,
        })
    }

    /// Takes all files as of one moment.
    async fn take_files(&self, staging: &Arc<Staging>) -> Result<Captured, BackupError> {
        let _no_archive_flush = self.archiver.pause().await;
        let _no_quarantine_flush = self.quarantine.pause().await;
        let _no_anomalies_flush = self.anomalies.pause().await;
        let (copy, data_dir) = (staging.folder().to_owned(), self.data_dir.clone());
        // A job of the writer runs between two commits.
        let capture = {
            let store = copy.join(STORE_FOLDER);
            move |commit: &mut crate::writer::Commit<'_>| {
                let state = commit.inner.state();
                Ok(engine_files::capture(commit.spaces(), &state, &store))
            }
        };
        let captured = self.store.commit(capture).await??;
        blocking(move || {
            captured.write()?;
            let tables: [fn(&Path) -> PathBuf; 3] = [
                archive::table_folder,
                quarantine_files::folder,
                |data_dir| data_dir.join(archive::ANOMALIES_FOLDER),
            ];
            for table in tables {
                day_files::take(&table(&data_dir), &table(&copy))?;
            }
            Ok(captured)
        })
        .await
    }
}

/// Opens the copy of the store, as a start after a restore does, and compares its state. Closing it leaves
/// no journal to replay.
fn check(copy: &Path, captured: &Captured) -> Result<(), BackupError> {
    let folder = copy.join(STORE_FOLDER);
    let store = EmbeddedStore::open(&EmbeddedConfig::new(folder))?;
    let state = keys::encode("state", &store.inner.state())?;
    store.close();
    if state == captured.state {
        return Ok(());
    }
    Err(BackupError::Different)
}

fn name_at(now_ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(now_ms).unwrap_or_default();
    format!("{}{}", staging::NAME_PREFIX, time.format(made::NAME_TIME))
}

async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, BackupError> + Send + 'static,
) -> Result<R, BackupError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| BackupError::Stopped)?
}
