//! The errors of the embedded store.

use std::sync::Arc;

use app::ports::PortError;

/// A failure of the embedded store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The engine failed: the disk is full or broken, or the folder is in use.
    #[error("the storage engine failed: {0}")]
    Engine(#[from] Arc<fjall::Error>),
    /// The disk is almost full.
    #[error(
        "the disk has {free_mb} MB left, and new ticks are refused below {min_free_mb} MB: make room, or change --min-free-disk-mb"
    )]
    DiskFull {
        /// The room that is left.
        free_mb: u64,
        /// The room that is reserved.
        min_free_mb: u64,
    },
    /// A stored record cannot be read.
    #[error("a stored {what} cannot be read: {cause}")]
    Corrupt {
        /// The kind of record.
        what: &'static str,
        /// Why it cannot be read.
        cause: String,
    },
    /// Another process has the folder open.
    #[error("{0} is in use by another tickstream: stop it, or choose another --data-dir")]
    Locked(String),
    /// There is no store in the folder.
    #[error("there is no store in {0}")]
    Missing(String),
    /// The folder was written by an earlier version, and only a start of tickstream upgrades it.
    #[error(
        "the data folder has layout {found}, which is older than layout {expected}: start tickstream with it once, which upgrades it"
    )]
    NotUpgraded {
        /// The layout found.
        found: u32,
        /// The layout that this version reads.
        expected: u32,
    },
    /// The folder was written by another version.
    #[error(
        "the data folder has layout {found}, but this version reads layout {expected}: use the version that wrote it, or another --data-dir"
    )]
    Layout {
        /// The layout found.
        found: u32,
        /// The layout that this version reads.
        expected: u32,
    },
    /// A task that reads was stopped.
    #[error("the read was stopped")]
    Stopped,
    /// A job in the same commit panicked; nothing of that commit is stored.
    #[error("a write panicked, and the others of its commit were not stored either: write again")]
    Panicked,
    /// The store is closing.
    #[error("the store is closing")]
    Closed,
}

impl From<fjall::Error> for StorageError {
    fn from(error: fjall::Error) -> Self {
        Self::Engine(Arc::new(error))
    }
}

impl StorageError {
    pub(crate) fn corrupt(what: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::Corrupt {
            what,
            cause: cause.to_string(),
        }
    }

    /// Converts it to a port's error; only errors of a closing or failed store, of a full disk, and of another's panic are
    /// retryable.
    pub(crate) fn at(self, operation: &'static str) -> PortError {
        let retryable = matches!(
            self,
            Self::Engine(_) | Self::DiskFull { .. } | Self::Closed | Self::Stopped | Self::Panicked
        );
        PortError {
            operation,
            retryable,
            source: Box::new(self),
        }
    }
}
