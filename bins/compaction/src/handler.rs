//! Compacts the closed days, the newest first, for as long as the time lasts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use app::objects::Objects;
use app::ports::{Clock, PortError};
use archive::compaction::{
    Compaction, CompactionError, DayFolder, DayReport, Lease, LeaseError, Memory, Settings,
    TARGET_BYTES, Watch, day_folders,
};
use chrono::{DateTime, Days};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

/// The name that another compaction reports as the holder of the lease.
const HOLDER: &str = "the compaction function";

/// The closed days of an archive.
pub struct ClosedDays {
    /// The archive.
    pub objects: Arc<dyn Objects>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How many days before today are compacted.
    pub days: u32,
    /// How long a run may take.
    pub time: Duration,
    /// A folder with room for about three times the largest day.
    pub work: PathBuf,
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Outcome {
    /// Days whose files were merged.
    pub compacted: usize,
    /// Days that need no compaction.
    pub unchanged: usize,
}

/// Why a run did not compact all closed days. Those that it did compact are done, and readers see each row once.
#[derive(Debug, thiserror::Error)]
pub enum ClosedDaysError {
    /// The clock is outside the calendar.
    #[error("the system clock is outside the calendar")]
    Clock,
    /// There is no working folder.
    #[error("could not create a working folder in {}", .0.display())]
    Work(PathBuf, #[source] std::io::Error),
    /// The archive cannot be listed.
    #[error("could not list the archive")]
    List(#[from] PortError),
    /// Another compaction is running, or took over.
    #[error("another compaction holds the lease on the archive")]
    Lease(#[from] LeaseError),
    /// Some days failed or have files that cannot be read: each was logged.
    #[error("{failed} of {of} days failed or have files that cannot be read; the first is {first}")]
    Days {
        /// How many.
        failed: usize,
        /// Of how many.
        of: usize,
        /// The folder of the first.
        first: String,
    },
    /// The run ran out of time.
    #[error(
        "the run ran out of time: {left} days are left, the newest in {newest}; the next run continues. If this happens \
         every day, run `tickctl compact`, which has no time limit"
    )]
    Time {
        /// How many days are left.
        left: usize,
        /// The folder of the newest of them.
        newest: String,
    },
}

/// Stops a run when its time is over.
struct Deadline(Instant);

impl Watch for Deadline {
    fn stopped(&self) -> bool {
        Instant::now() >= self.0
    }

    fn progress(&self, _: &'static str, _: u64, _: u64) {}
}

impl ClosedDays {
    /// Compacts the closed days.
    ///
    /// # Errors
    /// [`ClosedDaysError`]. A day that fails does not stop the others.
    pub async fn compact(&self) -> Result<Outcome, ClosedDaysError> {
        let deadline = Instant::now() + self.time;
        let folders = self.folders().await?;
        let objects = Arc::clone(&self.objects);
        let token = Uuid::now_v7().to_string();
        let lease = Arc::new(Lease::take(objects, Arc::clone(&self.clock), HOLDER, &token).await?);
        // It ends with this function in any case.
        let mut kept = JoinSet::new();
        let of_task = Arc::clone(&lease);
        kept.spawn(async move { of_task.keep().await });
        let outcome = self.compact_folders(&folders, &lease, deadline).await;
        drop(kept);
        if let Err(error) = lease.release().await {
            tracing::warn!(error = %error, "the lease could not be released and will expire by itself");
        }
        outcome
    }

    /// The folders of the closed days, the newest first.
    async fn folders(&self) -> Result<Vec<DayFolder>, ClosedDaysError> {
        let now = DateTime::from_timestamp_millis(self.clock.now_ms());
        let today = now.ok_or(ClosedDaysError::Clock)?.date_naive();
        let (first, last) = (
            today.checked_sub_days(Days::new(self.days.into())),
            today.checked_sub_days(Days::new(1)),
        );
        let mut folders = day_folders(self.objects.as_ref(), first, last).await?;
        folders.reverse();
        Ok(folders)
    }

    async fn compact_folders(
        &self,
        folders: &[DayFolder],
        lease: &Arc<Lease>,
        deadline: Instant,
    ) -> Result<Outcome, ClosedDaysError> {
        let work = tempfile::Builder::new()
            .prefix("compaction-")
            .tempdir_in(&self.work)
            .map_err(|error| ClosedDaysError::Work(self.work.clone(), error))?;
        let compaction = Compaction {
            objects: Arc::clone(&self.objects),
            clock: Arc::clone(&self.clock),
            settings: Settings {
                target_bytes: TARGET_BYTES,
                // Athena would read replaced files as well.
                grace_ms: 0,
                memory: Memory::default(),
            },
            work: work.path().to_owned(),
            watch: Arc::new(Deadline(deadline)),
            lease: Some(Arc::clone(lease)),
        };
        let (mut outcome, mut failed) = (Outcome::default(), Vec::new());
        for (done, day) in folders.iter().enumerate() {
            let out_of_time = || ClosedDaysError::Time {
                left: folders.len() - done,
                newest: day.folder.clone(),
            };
            if compaction.watch.stopped() {
                return Err(out_of_time());
            }
            match compaction.compact(day).await {
                Ok(report) => {
                    if report.written.count > 0 {
                        outcome.compacted += 1;
                    } else {
                        outcome.unchanged += 1;
                    }
                    if log(day, &report) == Readable::InPart {
                        failed.push(day);
                    }
                }
                Err(CompactionError::Stopped) => return Err(out_of_time()),
                // Without the lease, no other day may be changed.
                Err(CompactionError::Lease(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::error!(folder = day.folder, error = %error, "a day was not compacted");
                    failed.push(day);
                }
            }
        }
        match failed.first() {
            None => Ok(outcome),
            Some(first) => Err(ClosedDaysError::Days {
                failed: failed.len(),
                of: folders.len(),
                first: first.folder.clone(),
            }),
        }
    }
}

/// Whether all files of a day can be read.
#[derive(PartialEq, Eq)]
enum Readable {
    InFull,
    InPart,
}

fn log(day: &DayFolder, report: &DayReport) -> Readable {
    if report.written.count > 0 {
        tracing::info!(
            folder = day.folder,
            files_before = report.before.count,
            files_after = report.after.count,
            bytes_before = report.before.bytes,
            bytes_after = report.after.bytes,
            rows = report.rows,
            duplicates = report.duplicates,
            "a day was compacted"
        );
    }
    for file in &report.unreadable {
        tracing::error!(
            file = file.name,
            cause = file.cause,
            "a file of the archive cannot be read and was left as it is: restore an earlier version of it, or move \
             it out of the archive"
        );
    }
    if report.unreadable.is_empty() {
        Readable::InFull
    } else {
        Readable::InPart
    }
}
