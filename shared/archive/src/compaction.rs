//! Compaction: the small files of a day become few large sorted ones, without a moment at which
//! a reader of the manifest sees a row twice or not at all.
//!
//! The steps of a day, and what a crash after each of them leaves, are told in `docs/archive.md`.

mod columns;
mod day;
mod duplicates;
mod gather;
mod input;
mod lease;
mod merge;
mod output;
mod plan;
mod sort;
mod swap;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use app::objects::Objects;
use app::ports::{Clock, PortError};
use chrono::NaiveDate;

use crate::layout::{in_day, is_data_file};
use crate::manifest::ManifestError;

pub use lease::{LEASE, Lease, LeaseError};

/// Size of a file that a compaction aims at. Files come out between a half and one and a half of
/// it: 128 to 384 MiB.
pub const TARGET_BYTES: u64 = 256 * 1024 * 1024;

/// Memory for rows that are sorted at once; sorting needs about twice as much.
const SORT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Ids of ticks that are compared in memory, 48 bytes each; more go to files first.
const ID_RECORDS_MAX: usize = 1024 * 1024;

/// Sorted runs that are merged at once: each is an open file and some pages in memory.
const MERGE_RUNS_MAX: usize = 32;

/// How a compaction works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Size of a file that is aimed at, in bytes.
    pub target_bytes: u64,
    /// How long replaced files stay, hidden by the manifest, for queries that read them, in
    /// milliseconds.
    pub grace_ms: i64,
    /// What is held in memory.
    pub memory: Memory,
}

/// What a compaction holds in memory, besides a bit for each row of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Bytes of rows that are sorted at once.
    pub sort_bytes_max: usize,
    /// Ids of ticks that are compared at once.
    pub id_records_max: usize,
    /// Sorted runs that are merged at once; at least 2.
    pub merge_runs_max: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            sort_bytes_max: SORT_BYTES_MAX,
            id_records_max: ID_RECORDS_MAX,
            merge_runs_max: MERGE_RUNS_MAX,
        }
    }
}

/// Who looks on while a day is compacted, and may end it before its commit.
pub trait Watch: Send + Sync {
    /// Whether the compaction should end.
    fn stopped(&self) -> bool;
    /// How far the day is: `done` of `of` things of a step, such as files read.
    fn progress(&self, step: &'static str, done: u64, of: u64);
}

/// Compacts days of an archive. Whoever makes one has made sure that no other works on the same
/// archive: by the folder's lock, or by the [`Lease`].
pub struct Compaction {
    /// The archive.
    pub objects: Arc<dyn Objects>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How it works.
    pub settings: Settings,
    /// A folder of this machine with room for about three times the day's bytes.
    pub work: PathBuf,
    /// Who looks on.
    pub watch: Arc<dyn Watch>,
    /// The lease that is confirmed before each commit, where no lock of the system holds others
    /// off.
    pub lease: Option<Arc<Lease>>,
}

/// A folder of a day's files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayFolder {
    /// The day.
    pub day: NaiveDate,
    /// Its folder in the table, such as `year=2026/month=03/day=07`.
    pub folder: String,
}

/// Files and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Files {
    /// How many.
    pub count: usize,
    /// Bytes of all.
    pub bytes: u64,
}

/// What a run would do with a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayPlan {
    /// The files that count now.
    pub before: Files,
    /// Those of them that would be written anew; none where the day is as it should be.
    pub rewritten: Files,
    /// Whether an earlier run was stopped between its commit and its end: that is finished first.
    pub unfinished: bool,
}

/// A file that cannot be read, and was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its name in the table.
    pub name: String,
    /// Why.
    pub cause: String,
}

/// What became of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayReport {
    /// The files that counted before.
    pub before: Files,
    /// The files that count now.
    pub after: Files,
    /// Those of them that this run wrote.
    pub written: Files,
    /// Rows in the written ones.
    pub rows: u64,
    /// Rows left out, because another one of the day has the same tick id.
    pub duplicates: u64,
    /// Files that cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// Whether an earlier run was stopped between its commit and its end, and this one ended it.
    pub finished_earlier: bool,
    /// Until when replaced files stay, epoch milliseconds; the next run after that removes them.
    pub waiting_until_ms: Option<i64>,
}

/// Why a day could not be compacted. The rows that readers see are the same as before.
#[derive(Debug, thiserror::Error)]
pub enum CompactionError {
    /// The archive's objects cannot be reached.
    #[error("{}: {}", .0, .0.source)]
    Objects(#[from] PortError),
    /// A day's manifest cannot be understood.
    #[error("{folder}/{source}")]
    Manifest {
        /// The folder of the day.
        folder: String,
        /// The cause.
        source: ManifestError,
    },
    /// The working folder cannot be used.
    #[error("could not {doing} {}: {source}", path.display())]
    Work {
        /// What was being done, in words.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A new file does not hold what it should: it was not committed.
    #[error("{name} is not what was written ({what}); nothing was changed")]
    Verification {
        /// The file.
        name: String,
        /// What differs.
        what: String,
    },
    /// Somebody else changed the day meanwhile.
    #[error(
        "{folder} was changed by somebody else while it was compacted; it was left as it is, and \
         the next run takes it up"
    )]
    Changed {
        /// The folder of the day.
        folder: String,
    },
    /// Files that were committed are gone, and some that they replaced as well.
    #[error(
        "{folder}: {missing} was committed and is gone, and so are files that it replaced. \
         Restore it from a backup or from the table of ticks, or remove {folder}/{manifest} to \
         read what is left",
        manifest = crate::manifest::MANIFEST
    )]
    Damaged {
        /// The folder of the day.
        folder: String,
        /// A file that is gone.
        missing: String,
    },
    /// The lease is lost.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// It was told to end.
    #[error("stopped; the day is as it was")]
    Stopped,
}

impl CompactionError {
    fn work<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Work {
            doing,
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

/// The folders of days that an archive has files for, from `from` to `to`, both included.
///
/// # Errors
/// [`PortError`] where the archive cannot be listed.
pub async fn day_folders(
    objects: &dyn Objects,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
) -> Result<Vec<DayFolder>, PortError> {
    let mut folders: Vec<DayFolder> = Vec::new();
    for object in objects.list("year=").await? {
        let Some((day, folder, name)) = in_day(&object.name) else {
            continue;
        };
        // Names are in order, so the files of a folder come one after the other.
        let known = folders.last().is_some_and(|last| last.folder == folder);
        let wanted = from.is_none_or(|from| day >= from) && to.is_none_or(|to| day <= to);
        if wanted && !known && (is_data_file(name) || name.starts_with('_')) {
            let folder = folder.to_owned();
            folders.push(DayFolder { day, folder });
        }
    }
    folders.sort();
    Ok(folders)
}
