//! Locks between the processes of one machine that work on an archive. The system frees a lock
//! when its process ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::writer::ArchiveError;

/// The folder of the compaction beside the table's, on the same file system.
pub(crate) const COMPACTION_FOLDER: &str = "price-archive.compaction";

/// Held by the one compaction that runs.
const RUN_LOCK: &str = "run.lock";

/// Held for moments: while a manifest changes, and while a writer looks into it and publishes.
const SWAP_LOCK: &str = "swap.lock";

/// Longest note of a lock's holder that is shown, in bytes.
const NOTE_BYTES_MAX: u64 = 100;

/// The right to compact an archive of this machine, until it is dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// Another process compacts the archive, or the lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunLockError {
    /// Another compaction runs.
    #[error("{by} compacts the archive in {} already; let it end, or stop it", data_dir.display())]
    Held {
        /// The data folder.
        data_dir: PathBuf,
        /// The holder, such as `process 4711`.
        by: String,
    },
    /// The lock's file cannot be made or locked.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl RunLock {
    pub(crate) fn acquire(data_dir: &Path) -> Result<Self, RunLockError> {
        let path = lock_path(data_dir, RUN_LOCK)?;
        let mut file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(RunLockError::Held {
                    data_dir: data_dir.to_owned(),
                    by: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => tolerate(error, &path)?,
        }
        let note = format!("process {}", std::process::id());
        let noted = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(note.as_bytes()));
        noted.map_err(ArchiveError::io("write", &path))?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> String {
    let mut note = String::new();
    match file.take(NOTE_BYTES_MAX).read_to_string(&mut note) {
        Ok(1..) => note,
        Ok(0) | Err(_) => "another process".to_owned(),
    }
}

/// Waits until nobody else changes or uses a manifest, and keeps it so until the answer is dropped.
pub(crate) fn swap(data_dir: &Path) -> Result<File, ArchiveError> {
    let path = lock_path(data_dir, SWAP_LOCK)?;
    let file = open(&path)?;
    match file.lock() {
        Ok(()) => {}
        Err(error) => tolerate(error, &path)?,
    }
    Ok(file)
}

/// Some network file systems have no locks. There an operator runs one compaction at a time.
fn tolerate(error: io::Error, path: &Path) -> Result<(), ArchiveError> {
    if error.kind() == io::ErrorKind::Unsupported {
        return Ok(());
    }
    Err(ArchiveError::io("lock", path)(error))
}

fn lock_path(data_dir: &Path, name: &str) -> Result<PathBuf, ArchiveError> {
    let folder = data_dir.join(COMPACTION_FOLDER);
    std::fs::create_dir_all(&folder).map_err(ArchiveError::io("create", &folder))?;
    Ok(folder.join(name))
}

fn open(path: &Path) -> Result<File, ArchiveError> {
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true);
    options.open(path).map_err(ArchiveError::io("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_compaction_runs_at_a_time_and_the_other_is_told_who() {
        let data = tempfile::tempdir().unwrap();
        let held = RunLock::acquire(data.path()).unwrap();
        let error = RunLock::acquire(data.path()).unwrap_err().to_string();
        let me = format!("process {} compacts", std::process::id());
        assert!(error.starts_with(&me), "{error}");
        drop(held);
        RunLock::acquire(data.path()).unwrap();
    }
}
