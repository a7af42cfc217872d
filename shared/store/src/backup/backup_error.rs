//! Why there is no backup.

use std::path::{Path, PathBuf};

use crate::error::StorageError;

/// Why a backup failed. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Another backup into the same folder is running.
    #[error("another backup into {} is running: wait until it ends", .0.display())]
    Running(PathBuf),
    /// The store cannot be read or written, or its copy cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file system operation failed.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// The operation, in words.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Another process changes the files of a folder again and again.
    #[error("the files in {} keep changing: try again when no `tickctl compact` is running", .0.display())]
    Changing(PathBuf),
    /// The engine keeps values in files that a backup does not know.
    #[error("the keyspace {0} has files of a kind that a backup does not copy")]
    UnknownFiles(String),
    /// The copy can be opened, and has another state than the store had.
    #[error("the copy of the store does not have the state of the store: try again")]
    Different,
    /// The process is stopping.
    #[error("the backup was stopped")]
    Stopped,
}

impl BackupError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// A file that should exist does not.
    pub(super) fn missing(path: &Path) -> Self {
        Self::io("find", path)(std::io::ErrorKind::NotFound.into())
    }
}
