//! Where a backup is put together, and how it gets its name.
//!
//! The files are first linked into a folder inside the data folder, which is on the same file system; the
//! whole is then renamed, or copied to another file system, to `NAME.partial`, and after its check to `NAME`.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::backup_error::BackupError;
use super::file_copy::{copy_folder, create_folder, remove_folder, sync_folder, sync_folders};

/// The beginning of the names of all backups.
pub(super) const NAME_PREFIX: &str = "backup-";

/// The end of the name of a backup that is not complete.
const PARTIAL: &str = ".partial";

/// The folder inside the data folder.
const STAGING_FOLDER: &str = "backup.staging";

/// Held in the folder of the backups while one is made.
const LOCK_FILE: &str = "backup.lock";

/// The folders of a backup that is being made. Dropping it removes what is not complete.
pub(super) struct Staging {
    folder: PathBuf,
    backup_dir: PathBuf,
    name: String,
    /// The operating system releases the lock with the file.
    _lock: File,
}

impl Staging {
    /// Makes sure that no other backup is running, and removes leftovers of one that was killed.
    pub(super) fn begin(
        data_dir: &Path,
        backup_dir: &Path,
        name: String,
    ) -> Result<Self, BackupError> {
        create_folder(backup_dir)?;
        let lock = lock(backup_dir)?;
        remove_partial(backup_dir)?;
        let begun = Self {
            folder: data_dir.join(STAGING_FOLDER),
            backup_dir: backup_dir.to_owned(),
            name,
            _lock: lock,
        };
        remove_folder(&begun.folder)?;
        let path = begun.path();
        if path.exists() {
            return Err(BackupError::io("create", &path)(
                io::ErrorKind::AlreadyExists.into(),
            ));
        }
        create_folder(&begun.folder)?;
        Ok(begun)
    }

    /// Where the files are put.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self) -> PathBuf {
        self.backup_dir.join(&self.name)
    }

    fn partial(&self) -> PathBuf {
        self.backup_dir.join(format!("{}{PARTIAL}", self.name))
    }

    /// Moves the files to the folder of the backups, where they do not have their final name yet.
    pub(super) fn move_to_backups(&self) -> Result<PathBuf, BackupError> {
        let partial = self.partial();
        match fs::rename(&self.folder, &partial) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                copy_folder(&self.folder, &partial)?;
                remove_folder(&self.folder)?;
            }
            Err(error) => return Err(BackupError::io("move", &self.folder)(error)),
        }
        Ok(partial)
    }

    /// Gives the backup its name once all of it is on disk.
    pub(super) fn publish(&self) -> Result<PathBuf, BackupError> {
        let (partial, path) = (self.partial(), self.path());
        sync_folders(&partial)?;
        fs::rename(&partial, &path).map_err(BackupError::io("rename", &partial))?;
        sync_folder(&self.backup_dir)?;
        Ok(path)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        for folder in [self.folder.clone(), self.partial()] {
            if let Err(error) = remove_folder(&folder) {
                tracing::error!(error = %error, "an unfinished backup was not removed; the next backup removes it");
            }
        }
    }
}

fn lock(backup_dir: &Path) -> Result<File, BackupError> {
    let path = backup_dir.join(LOCK_FILE);
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(BackupError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BackupError::Running(backup_dir.to_owned())),
        // Some network file systems have no locks.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(BackupError::io("lock", &path)(error)),
    }
}

/// Removes unfinished backups.
fn remove_partial(backup_dir: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(backup_dir).map_err(BackupError::io("list", backup_dir))? {
        let entry = entry.map_err(BackupError::io("list", backup_dir))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(NAME_PREFIX) && name.ends_with(PARTIAL) {
            remove_folder(&entry.path())?;
        }
    }
    Ok(())
}
