//! Files and folders of a backup: linked or copied, and flushed to disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::backup_error::BackupError;

/// Files and their sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Tally {
    /// Of all files in a folder and in those below it.
    pub(super) fn of(folder: &Path) -> Result<Self, BackupError> {
        let mut tally = Self::default();
        for entry in fs::read_dir(folder).map_err(BackupError::io("list", folder))? {
            let entry = entry.map_err(BackupError::io("list", folder))?;
            let path = entry.path();
            let metadata = entry
                .metadata()
                .map_err(BackupError::io("look at", &path))?;
            if metadata.is_dir() {
                let below = Self::of(&path)?;
                tally.files += below.files;
                tally.bytes += below.bytes;
            } else {
                tally.files += 1;
                tally.bytes += metadata.len();
            }
        }
        Ok(tally)
    }
}

/// Gives a file that is never changed in place a second name, or copies it if the file system has no links.
/// Returns whether the file still existed.
pub(super) fn link_or_copy(from: &Path, to: &Path) -> Result<bool, BackupError> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(BackupError::io("link", to)(error))
        }
        Err(_) => copy(from, to),
    }
}

/// Copies a file and flushes it to disk. Returns whether the file still existed.
pub(super) fn copy(from: &Path, to: &Path) -> Result<bool, BackupError> {
    match fs::copy(from, to) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(BackupError::io("copy", from)(error)),
    }
    let flushed = File::open(to).and_then(|file| file.sync_all());
    flushed.map_err(BackupError::io("flush", to))?;
    Ok(true)
}

/// Writes a new file and flushes it to disk.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), BackupError> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(BackupError::io("write", path))
}

/// Copies a folder to another file system.
pub(super) fn copy_folder(from: &Path, to: &Path) -> Result<(), BackupError> {
    fs::create_dir(to).map_err(BackupError::io("create", to))?;
    for entry in fs::read_dir(from).map_err(BackupError::io("list", from))? {
        let entry = entry.map_err(BackupError::io("list", from))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry
            .file_type()
            .map_err(BackupError::io("look at", &from))?;
        if kind.is_dir() {
            copy_folder(&from, &to)?;
        } else if !copy(&from, &to)? {
            return Err(BackupError::missing(&from));
        }
    }
    sync_folder(to)
}

/// Flushes the names in a folder, and in those below it, to disk.
pub(super) fn sync_folders(folder: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(folder).map_err(BackupError::io("list", folder))? {
        let entry = entry.map_err(BackupError::io("list", folder))?;
        let path = entry.path();
        let kind = entry
            .file_type()
            .map_err(BackupError::io("look at", &path))?;
        if kind.is_dir() {
            sync_folders(&path)?;
        }
    }
    sync_folder(folder)
}

/// Flushes the names in a folder to disk. Windows neither has nor needs such a call.
pub(super) fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(BackupError::io("flush", folder))?;
    }
    Ok(())
}

/// Creates a folder and those above it.
pub(super) fn create_folder(folder: &Path) -> Result<(), BackupError> {
    fs::create_dir_all(folder).map_err(BackupError::io("create", folder))
}

/// Removes a folder with everything in it, if it exists.
pub(super) fn remove_folder(folder: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(BackupError::io("remove", folder)(error)),
    }
}

/// The content of a file, or `None` if it does not exist.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, BackupError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BackupError::io("read", path)(error)),
    }
}
