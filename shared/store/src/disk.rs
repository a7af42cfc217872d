//! Room on the disk: new ticks are refused while there is still room to flush, to merge and to archive what was
//! accepted. Otherwise the engine would fail in the middle of a write, and then accepts nothing until it is
//! opened again.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::StorageError;

/// How long a check holds. At 100,000 ticks a second, about 10 MB are written in this time.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// The file that is written to try whether the folder accepts writes.
const PROBE: &str = "write-probe";

/// Checks the free space of the store's disk.
pub(crate) struct Disk {
    folder: PathBuf,
    min_free_bytes: u64,
    last: Mutex<Option<Check>>,
}

#[derive(Clone, Copy)]
struct Check {
    at: Instant,
    free_bytes: u64,
}

impl Disk {
    pub(crate) fn new(folder: PathBuf, min_free_bytes: u64) -> Self {
        Self {
            folder,
            min_free_bytes,
            last: Mutex::default(),
        }
    }

    pub(crate) fn min_free_bytes(&self) -> u64 {
        self.min_free_bytes
    }

    /// Whether there is enough room for new ticks.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        if self.min_free_bytes == 0 {
            return Ok(());
        }
        let free_bytes = self.free_bytes();
        if free_bytes >= self.min_free_bytes {
            return Ok(());
        }
        Err(StorageError::DiskFull {
            free_mb: free_bytes / 1_000_000,
            min_free_mb: self.min_free_bytes / 1_000_000,
        })
    }

    /// The bytes that a process without privileges can still write. A disk that cannot be asked has room: a
    /// write says what is wrong.
    pub(crate) fn free_bytes(&self) -> u64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(check) = *last
            && check.at.elapsed() < CHECK_EVERY
        {
            return check.free_bytes;
        }
        let free_bytes = match rustix::fs::statvfs(&self.folder) {
            Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
            Err(_) => u64::MAX,
        };
        let had_room = last.is_none_or(|check| check.free_bytes >= self.min_free_bytes);
        let has_room = free_bytes >= self.min_free_bytes;
        let free_mb = free_bytes / 1_000_000;
        if had_room && !has_room {
            tracing::error!(
                free_mb,
                "the disk is almost full: new ticks are refused until there is room; reading continues"
            );
        } else if !had_room && has_room {
            tracing::info!(free_mb, "the disk has room again: ticks are accepted");
        }
        *last = Some(Check {
            at: Instant::now(),
            free_bytes,
        });
        free_bytes
    }

    /// Writes a file in the folder to find out whether it accepts writes, and whether there is room.
    pub(crate) fn probe(&self) -> std::io::Result<()> {
        self.check().map_err(std::io::Error::other)?;
        let path = self.folder.join(PROBE);
        let written = std::fs::File::create(&path).and_then(|mut file| {
            std::io::Write::write_all(&mut file, &[0; 4_096])?;
            file.sync_all()
        });
        let removed = std::fs::remove_file(&path);
        written.and(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_decides() {
        let folder = tempfile::tempdir().unwrap();
        let disk = |min_free_bytes| Disk::new(folder.path().to_owned(), min_free_bytes);
        assert!(disk(0).check().is_ok());
        assert!(disk(1).check().is_ok());
        disk(1).probe().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let error = disk(u64::MAX).check().unwrap_err();
        assert!(matches!(error, StorageError::DiskFull { .. }), "{error}");
        assert!(disk(u64::MAX).probe().is_err());
    }
}
