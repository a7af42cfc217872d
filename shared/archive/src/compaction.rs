//! Compaction: merges the small files of a day into a few large sorted ones. At no moment does a
//! reader of the manifest see a row twice or not at all.
//!
//! `docs/archive.md` describes the steps of a day, and what a crash after each of them leaves
//! behind.

mod columns;
mod day;
mod day_commit;
mod duplicates;
mod gather;
mod input;
mod lease;
mod merge;
mod output;
mod plan;
mod row_identities;
mod sort;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use app::objects::Objects;
use app::ports::{Clock, PortError};
use chrono::NaiveDate;

use crate::layout::{in_day, is_data_file};
use crate::manifest::ManifestError;

pub use lease::{LEASE, Lease, LeaseError};

/// The target size of a file. Actual sizes are between half and one and a half times that: 128 to
/// 384 MiB.
pub const TARGET_BYTES: u64 = 256 * 1024 * 1024;

/// The memory for rows that are sorted at once; sorting needs about twice as much.
const SORT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many identities of ticks are compared in memory, 48 bytes each; more are written to files first.
const ID_RECORDS_MAX: usize = 1024 * 1024;

/// How many removed rows of a day a report names, so that its memory is bounded.
pub const REMOVED_NAMED_MAX: usize = 10_000;

/// How many sorted runs are merged at once. Each is an open file with some pages in memory.
const MERGE_RUNS_MAX: usize = 32;

/// The settings of a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The target size of a file, in bytes.
    pub target_bytes: u64,
    /// How long replaced files are kept, hidden by the manifest, for queries that still read them,
    /// in milliseconds.
    pub grace_ms: i64,
    /// The memory limits.
    pub memory: Memory,
}

/// The memory limits of a compaction. It also needs one bit per row of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// How many bytes of rows are sorted at once.
    pub sort_bytes_max: usize,
    /// How many identities of ticks are compared at once.
    pub id_records_max: usize,
    /// How many sorted runs are merged at once; at least 2.
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

/// Observes the compaction of a day, and may stop it before its commit.
pub trait Watch: Send + Sync {
    /// Whether the compaction should stop.
    fn stopped(&self) -> bool;
    /// The progress of the day: `done` of `of` items of a step, such as files read.
    fn progress(&self, step: &'static str, done: u64, of: u64);
}

/// Compacts days of an archive. The creator must make sure that no other compaction works on the
/// same archive, by the folder's lock or by the [`Lease`].
pub struct Compaction {
    /// The archive.
    pub objects: Arc<dyn Objects>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The settings.
    pub settings: Settings,
    /// A local folder with room for about three times the day's bytes.
    pub work: PathBuf,
    /// Observes the progress.
    pub watch: Arc<dyn Watch>,
    /// The lease that is confirmed before each commit, if no lock of the operating system excludes
    /// others.
    pub lease: Option<Arc<Lease>>,
}

/// A folder of a day's files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayFolder {
    /// The day.
    pub day: NaiveDate,
    /// Its folder in the archive, such as `year=2026/month=03/day=07`.
    pub folder: String,
}

/// A number of files, and their total size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Files {
    /// How many.
    pub count: usize,
    /// Their total size in bytes.
    pub bytes: u64,
}

/// What a run would do with a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayPlan {
    /// The files that count now.
    pub before: Files,
    /// Those of them that would be rewritten; none if the day needs no compaction.
    pub rewritten: Files,
    /// Whether an earlier run was interrupted after its commit; its commit is completed first.
    pub unfinished: bool,
}

/// A file that cannot be read and was left unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its name in the archive.
    pub name: String,
    /// Why.
    pub cause: String,
}

/// A row that was removed, since another one of the day is the same event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The token; `None` is NULL, which only files of other writers have.
    pub token: Option<String>,
    /// The quote.
    pub quote: Option<String>,
    /// Event time, milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
    /// The id.
    pub tick_id: String,
}

/// The result of compacting a day.
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
    /// Rows removed because another row of the day is the same event ([`domain::TickIdentity`]).
    pub duplicates: u64,
    /// The first of them, in the order of the files: at most [`REMOVED_NAMED_MAX`].
    pub removed: Vec<Removed>,
    /// Files that cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// Whether this run completed the commit of an earlier run that was interrupted.
    pub finished_earlier: bool,
    /// Until when replaced files are kept, epoch milliseconds; the next run after that removes
    /// them.
    pub waiting_until_ms: Option<i64>,
}

/// Why a day could not be compacted. The rows that readers see are the same as before.
#[derive(Debug, thiserror::Error)]
pub enum CompactionError {
    /// The archive's objects cannot be reached.
    #[error("{}: {}", .0, .0.source)]
    Objects(#[from] PortError),
    /// A day's manifest cannot be read.
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
        /// The attempted operation, in words.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A new file does not contain the expected rows; it was not committed.
    #[error("the new file {name} failed its verification ({what}); nothing was changed")]
    Verification {
        /// The file.
        name: String,
        /// What differs.
        what: String,
    },
    /// Somebody else changed the day in the meantime.
    #[error(
        "{folder} was changed by somebody else during its compaction; it was left unchanged, and \
         the next run will compact it"
    )]
    Changed {
        /// The folder of the day.
        folder: String,
    },
    /// Committed files are missing, and so are some of the files that they replaced.
    #[error(
        "{folder}: {missing} was committed but is missing, and so are files that it replaced. \
         Restore it from a backup or from the table of ticks, or remove {folder}/{manifest} to \
         read the remaining files",
        manifest = crate::manifest::MANIFEST
    )]
    Damaged {
        /// The folder of the day.
        folder: String,
        /// A missing file.
        missing: String,
    },
    /// The lease is lost.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The compaction was asked to stop.
    #[error("stopped; the day is unchanged")]
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

/// The folders of the days for which an archive has files, from `from` to `to`, inclusive.
///
/// # Errors
/// [`PortError`] if the archive cannot be listed.
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
        // Names are in order, so the files of a folder are adjacent.
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
