//! Stages files for the archive: they are written and flushed in a separate folder, then moved into
//! the archive.
//!
//! The folder is beside the archive's folder, on the same file system and invisible to readers.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use crate::error::ArchiveError;
use crate::layout::{Range, file_name, names};

const STAGING_FOLDER: &str = "price-archive.staging";

#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
}

impl Staging {
    /// Opens the folder and removes leftovers of a stopped process.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, ArchiveError> {
        let folder = data_dir.join(STAGING_FOLDER);
        fs::create_dir_all(&folder).map_err(ArchiveError::io("create", &folder))?;
        for name in names(&folder).map_err(ArchiveError::io("list", &folder))? {
            remove(&folder.join(name))?;
        }
        Ok(Self { folder })
    }

    /// The path for a range's file of a day. Leftovers of a failed attempt are removed.
    pub(crate) fn file(&self, day: NaiveDate, range: Range) -> Result<PathBuf, ArchiveError> {
        let path = self.folder.join(format!("{day}-{}", file_name(range)));
        if path.exists() {
            remove(&path)?;
        }
        Ok(path)
    }
}

/// Moves a flushed file into the archive, replacing the file of an earlier write of the same range.
pub(crate) fn publish(from: &Path, folder: &Path, name: &str) -> Result<(), ArchiveError> {
    let to = folder.join(name);
    fs::rename(from, to).map_err(ArchiveError::io("move into the archive", from))?;
    sync_folder(folder)
}

/// Creates the folders below `base`, and returns once their names are on disk.
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
