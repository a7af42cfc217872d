//! Locks between the processes of one machine that work on an archive. The operating system
//! releases a lock when its process ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::error::ArchiveError;

/// The compaction's folder, beside the archive's folder on the same file system.
pub(crate) const COMPACTION_FOLDER: &str = "price-archive.compaction";

/// Held by the one running compaction.
const RUN_LOCK: &str = "run.lock";

/// Held only briefly: while a manifest changes, and while a writer reads it and publishes a file.
const SWAP_LOCK: &str = "swap.lock";

/// The longest text about a lock's holder that is shown, in bytes.
const HOLDER_BYTES_MAX: u64 = 100;

/// The right to compact a local archive, until it is dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// Another process compacts the archive, or the lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunLockError {
    /// Another compaction is running.
    #[error("{by} is already compacting the archive in {}: wait until it ends, or stop it", data_dir.display())]
    Held {
        /// The data folder.
        data_dir: PathBuf,
        /// The holder, such as `process 4711`.
        by: String,
    },
    /// The lock's file cannot be created or locked.
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
    match file.take(HOLDER_BYTES_MAX).read_to_string(&mut note) {
        Ok(1..) => note,
        Ok(0) | Err(_) => "another process".to_owned(),
    }
}

/// Waits until nobody else changes or uses a manifest, and excludes others until the file is
/// dropped.
pub(crate) fn swap(data_dir: &Path) -> Result<File, ArchiveError> {
    let path = lock_path(data_dir, SWAP_LOCK)?;
    let file = open(&path)?;
    match file.lock() {
        Ok(()) => {}
        Err(error) => tolerate(error, &path)?,
    }
    Ok(file)
}

/// Some network file systems have no locks. There, the operator must run only one compaction at a
/// time.
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
    fn only_one_compaction_runs_and_another_learns_who_holds_the_lock() {
        let data = tempfile::tempdir().unwrap();
        let held = RunLock::acquire(data.path()).unwrap();
        let error = RunLock::acquire(data.path()).unwrap_err().to_string();
        let me = format!("process {} is already compacting", std::process::id());
        assert!(error.starts_with(&me), "{error}");
        drop(held);
        RunLock::acquire(data.path()).unwrap();
    }
}
