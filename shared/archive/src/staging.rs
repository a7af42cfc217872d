//! Files on their way into the archive: written aside and flushed, then moved to their places.
//!
//! The folder lies beside the table's, on the same file system and out of any reader's sight.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use crate::layout::{Range, file_name, names};
use crate::writer::ArchiveError;

const STAGING_FOLDER: &str = "price-archive.staging";

#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
}

impl Staging {
    /// Opens the folder and removes what a stopped process left in it.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, ArchiveError> {
        let folder = data_dir.join(STAGING_FOLDER);
        fs::create_dir_all(&folder).map_err(ArchiveError::io("create", &folder))?;
        for name in names(&folder).map_err(ArchiveError::io("list", &folder))? {
            remove(&folder.join(name))?;
        }
        Ok(Self { folder })
    }

    /// Where a range's file of a day is written. What an attempt that failed left there is removed.
    pub(crate) fn file(&self, day: NaiveDate, range: Range) -> Result<PathBuf, ArchiveError> {
        let path = self.folder.join(format!("{day}-{}", file_name(range)));
        if path.exists() {
            remove(&path)?;
        }
        Ok(path)
    }
}

/// Moves a file that is on disk to its place in the table, over that of an earlier writing of the
/// same range.
pub(crate) fn publish(from: &Path, folder: &Path, name: &str) -> Result<(), ArchiveError> {
    let to = folder.join(name);
    fs::rename(from, to).map_err(ArchiveError::io("move into the archive", from))?;
    sync_folder(folder)
}

/// Makes the folders below `base` and sees to it that their names are on disk.
pub(crate) fn create_folders(base: &Path, below: &Path) -> Result<PathBuf, ArchiveError> {
    let mut folder = base.to_owned();
    for name in below {
        let child = folder.join(name);
        match fs::create_dir(&child) {
            Ok(()) => sync_folder(&folder)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(ArchiveError::io("create", &child)(error)),
        }
        folder = child;
    }
    Ok(folder)
}

pub(crate) fn remove(path: &Path) -> Result<(), ArchiveError> {
    fs::remove_file(path).map_err(ArchiveError::io("remove", path))
}

/// Waits until the names in a folder are on disk. Windows has no such call and needs none.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), ArchiveError> {
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(ArchiveError::io("flush", folder))?;
    }
    Ok(())
}
