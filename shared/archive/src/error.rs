//! Why the archive could not be opened or written.

use std::error::Error as _;
use std::path::{Path, PathBuf};

use codec::error::CodecError;
use domain::TickId;

use crate::manifest::ManifestError;

/// Why a range could not be archived, or the archive could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file system refused.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// The attempted operation, in words.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Parquet could not be written.
    #[error("could not write {}: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: parquet::errors::ParquetError,
    },
    /// A day's manifest cannot be read.
    #[error("{}: {source}", folder.display())]
    Manifest {
        /// The folder of the day.
        folder: PathBuf,
        /// The cause.
        source: ManifestError,
    },
    /// The ticks do not fit into columns.
    #[error(transparent)]
    Columns(#[from] CodecError),
    /// The event time is in a year that a folder name cannot have.
    #[error("tick {tick_id} has event time {timestamp_ms}, which is not in the years 1 to 9999")]
    Timestamp {
        /// The tick.
        tick_id: TickId,
        /// Its event time.
        timestamp_ms: i64,
    },
    /// The first sequence number is above the last.
    #[error("the range from {first} to {last} is empty")]
    Range {
        /// The first sequence number.
        first: u64,
        /// The last sequence number.
        last: u64,
    },
}

impl ArchiveError {
    /// Whether the cause may be in one of the ticks, rather than in the file system.
    #[must_use]
    pub fn may_be_in_a_tick(&self) -> bool {
        match self {
            Self::Columns(_) | Self::Timestamp { .. } => true,
            Self::Parquet { source, .. } => {
                let mut causes = std::iter::successors(source.source(), |&error| error.source());
                !causes.any(|cause| cause.is::<std::io::Error>())
            }
            Self::Io { .. } | Self::Manifest { .. } | Self::Range { .. } => false,
        }
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_a_ticks_fault() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let of_parquet = |source| ArchiveError::Parquet {
            path: PathBuf::from("a.parquet"),
            source,
        };
        assert!(!of_parquet(full().into()).may_be_in_a_tick());
        assert!(!ArchiveError::io("create", Path::new("a"))(full()).may_be_in_a_tick());
        let general = parquet::errors::ParquetError::General("no such value".to_owned());
        assert!(of_parquet(general).may_be_in_a_tick());
    }
}
