//! Compares the store with the stream and with the archive, tick by tick.
//!
//! Compared are the ticks that were received in a range of time and whose first decision was to go to the stream, by
//! identity and content. Each place is read once. The records are divided by identity into parts on disk, of which
//! each fits into memory, so the range may have any number of ticks, and any number of them may differ.
//!
//! The stream's copies must have the same content; the archive's the same after rounding to doubles. A tick that is in
//! one of the two without belonging there is found as well, if it was received in the range; in the archive, only the
//! days that the store's ticks of the range have, and the days of the range itself, are read.

mod compare;
mod estimate;
mod names;
mod proof;
mod record;
mod runs;
mod sample;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use app::ports::PortError;
use app::read_back::{
    ArchivedTick, ArchivedTicks, Page, Pages, ReceiptRange, StoredTick, StoredTicks, StreamedTicks,
    Unseen,
};
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, SecondsFormat};
use domain::{FUTURE_TOLERANCE_MS, Tick};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::text::duration;
use compare::{Due, Lacking, Rules, Sight, Tally};
use names::Names;
use record::Record;
use runs::{Part, Runs};
use sample::Sample;

pub use estimate::{EstimateLine, ReadPlan, estimate};
pub use proof::{
    Counts, EXAMPLES_MAX, Example, Finding, OTHER_TOKENS, Place, PlaceCounts, Proof, Repaired,
    Scope, TOKENS_MAX, Verdict,
};
pub use record::FieldDifference;

/// Pages that wait for the thread that divides them.
const PAGES_WAITING_MAX: usize = 4;

/// The most ticks of a repair that are appended or written at once.
const REPAIR_TICKS_MAX: usize = 500;

/// How long a tick may take from its receipt to each place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueAfter {
    /// Until it is stored: later ticks are left out of the range, since their delivery may be under way.
    pub stored_ms: i64,
    /// Until it is in the stream.
    pub streamed_ms: i64,
    /// Until it is in the archive.
    pub archived_ms: i64,
}

impl DueAfter {
    /// On this machine: a delivery ends within 5 s, the outbox is drained every 10 s, and the archive is written every
    /// 10 s by default.
    pub const HERE: Self = Self {
        stored_ms: 6_000,
        streamed_ms: 30_000,
        archived_ms: 60_000,
    };

    /// On AWS: API Gateway ends a request after 30 s; a tick that the stream refused is offered again by the redrive
    /// within minutes; and Firehose writes files every 300 s, and takes up to a minute to convert them.
    /// <https://docs.aws.amazon.com/firehose/latest/dev/create-destination.html>
    pub const AWS: Self = Self {
        stored_ms: 30_000,
        streamed_ms: 60_000,
        archived_ms: 420_000,
    };
}

impl Default for DueAfter {
    fn default() -> Self {
        Self::HERE
    }
}

/// The three places.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    /// The store.
    pub store: &'a dyn StoredTicks,
    /// The stream.
    pub stream: &'a dyn StreamedTicks,
    /// The archive.
    pub archive: &'a dyn ArchivedTicks,
}

/// Puts ticks where they are missing. Both are idempotent in what is counted: consumers count a tick once.
#[async_trait]
pub trait Repair: Send + Sync {
    /// Appends stored ticks to the stream.
    async fn append(&self, ticks: &[Tick]) -> Result<(), PortError>;
    /// Writes ticks to files of the archive. The same ticks make the same files.
    async fn archive(&self, ticks: &[Tick]) -> Result<(), PortError>;
}

/// What to compare, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// Ticks received from this time on, epoch milliseconds.
    pub from_ms: i64,
    /// And before this time. What was received within [`DueAfter::stored_ms`] is left out.
    pub to_ms: i64,
    /// One in how many minutes of each token, by event time, is compared: 1 for all.
    #[serde(default = "all")]
    pub one_in: u32,
    /// How many copies beyond the first are allowed in each place.
    #[serde(default)]
    pub repeats_max: u64,
    /// When ticks are due.
    #[serde(default)]
    pub due_after: DueAfter,
    /// Whether to repair what is missing.
    #[serde(default)]
    pub repair: bool,
}

fn all() -> u32 {
    1
}

impl VerifyRequest {
    /// The range that is compared if it begins now.
    ///
    /// # Errors
    /// [`VerifyError::Future`] and [`VerifyError::Empty`].
    pub fn range(&self, now_ms: i64) -> Result<ReceiptRange, VerifyError> {
        if self.to_ms > now_ms {
            return Err(VerifyError::Future {
                ahead_s: (self.to_ms - now_ms).div_euclid(1_000) + 1,
            });
        }
        let to_ms = self.to_ms.min(now_ms - self.due_after.stored_ms);
        if self.from_ms >= to_ms {
            return Err(VerifyError::Empty {
                from_ms: self.from_ms,
                to_ms,
                settle_s: self.due_after.stored_ms / 1_000,
            });
        }
        Ok(ReceiptRange {
            from_ms: self.from_ms,
            to_ms,
        })
    }
}

/// What a comparison works with.
pub struct Verify<'a> {
    /// The places.
    pub places: Places<'a>,
    /// Repairs what is missing, if that is requested.
    pub repair: &'a dyn Repair,
    /// Our clock, epoch milliseconds.
    pub now_ms: i64,
    /// A folder on a disk with room: about 80 bytes for each tick and place.
    pub temp_folder: PathBuf,
    /// Hears of the progress.
    pub watch: &'a dyn Watch,
}

/// How far a comparison is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What it does.
    pub phase: Phase,
    /// How much of that is done.
    pub done: u64,
    /// Of how much, if that is known.
    pub of: Option<u64>,
}

/// A phase of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading the store and the stream, in ticks.
    StoreAndStream,
    /// Reading the archive, in ticks.
    Archive,
    /// Comparing, in parts.
    Compare,
}

/// Hears of the progress of a comparison.
pub trait Watch: Send + Sync {
    /// It is so far.
    fn progress(&self, progress: Progress);
    /// Whether to stop.
    fn stopped(&self) -> bool;
}

/// Why the comparison could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The range is empty.
    #[error(
        "the range is empty: it begins at {}, and is compared up to {}; ticks of the last {settle_s} s are left out, \
         since they may still be on their way", utc(*from_ms), utc(*to_ms)
    )]
    Empty {
        /// Its start.
        from_ms: i64,
        /// Its end, at most our clock less the time until a tick is stored.
        to_ms: i64,
        /// That time.
        settle_s: i64,
    },
    /// The range is not over.
    #[error(
        "the range ends in the future, {} from now, so nobody can know its ticks: end it now, or earlier",
        duration(ahead_s.saturating_mul(1_000))
    )]
    Future {
        /// How far ahead of our clock it ends.
        ahead_s: i64,
    },
    /// The store could not be read, without which nothing can be compared.
    #[error("the store could not be read")]
    Store(#[source] PortError),
    /// A repair failed; what was repaired before it stays.
    #[error("the repair failed after {done} ticks")]
    Repair {
        /// How many ticks were repaired.
        done: u64,
        /// The cause.
        #[source]
        source: PortError,
    },
    /// The records could not be written to or read from the folder for temporary files.
    #[error("cannot use {} for the comparison's temporary files", folder.display())]
    Disk {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It was stopped.
    #[error("stopped")]
    Stopped,
}

/// A page on its way to the thread that divides its records.
enum Read {
    Stored(Vec<StoredTick>),
    Streamed(Vec<Tick>),
    Archived(Vec<ArchivedTick>),
}

/// What was read of a place.
struct Seen {
    sight: Sight,
    unseen: Vec<String>,
}

impl Verify<'_> {
    /// Compares, and repairs if requested.
    ///
    /// # Errors
    /// [`VerifyError`]. If the stream or the archive cannot be read, the proof says so.
    pub async fn run(&self, request: &VerifyRequest) -> Result<Proof, VerifyError> {
        let range = request.range(self.now_ms)?;
        let runs = Runs::new(&self.temp_folder).map_err(|source| self.disk_error(source))?;
        let (pages, received) = mpsc::channel(PAGES_WAITING_MAX);
        let sample = Sample::one_in(request.one_in);
        let divider = tokio::task::spawn_blocking(move || divide(received, runs, sample));
        let read = self.read(range, request.due_after, pages).await;
        let divided = divider.await.map_err(io::Error::other).flatten();
        let divided = divided.map_err(|source| self.disk_error(source))?;
        let (rules, unseen) = read?;
        let (tally, names, repaired) = self.compare(divided, rules, request.repair).await?;
        let groups = tally.groups(&names);
        Ok(Proof {
            scope: Scope {
                from_ms: range.from_ms,
                to_ms: range.to_ms,
                one_in: request.one_in.max(1),
            },
            made_at_ms: self.now_ms,
            repeats_max: request.repeats_max,
            counts: tally.counts,
            by_hour: groups.by_hour,
            by_source: groups.by_source,
            by_token: groups.by_token,
            examples: tally.examples,
            unseen,
            repaired,
        })
    }

    /// Reads the three places. The archive comes last, since the store's ticks say which days it must have.
    async fn read(
        &self,
        range: ReceiptRange,
        due_after: DueAfter,
        pages: mpsc::Sender<Read>,
    ) -> Result<(Rules, Vec<String>), VerifyError> {
        let places = &self.places;
        let done = AtomicU64::new(0);
        let mut days = days_of(range);
        let stored = self.drain(
            Phase::StoreAndStream,
            places.store.stored(range),
            &done,
            &pages,
            |ticks: Vec<StoredTick>| {
                let times = ticks.iter().map(|stored| stored.tick.timestamp_ms);
                days.extend(times.filter_map(day_of));
                Read::Stored(ticks)
            },
        );
        let streamed = self.drain(
            Phase::StoreAndStream,
            places.stream.streamed(range),
            &done,
            &pages,
            Read::Streamed,
        );
        let (stored, streamed) = tokio::join!(stored, streamed);
        let stored = stored?.map_err(VerifyError::Store)?;
        let streamed = partly(Place::Stream, streamed?);
        let done = AtomicU64::new(0);
        let archived = places.archive.archived(range, days);
        let archived = self
            .drain(Phase::Archive, archived, &done, &pages, Read::Archived)
            .await?;
        let archived = partly(Place::Archive, archived);
        let rules = Rules {
            due: Due {
                stream_ms: self.now_ms - due_after.streamed_ms,
                archive_ms: self.now_ms - due_after.archived_ms,
            },
            store: stored.sight,
            stream: streamed.sight,
            archive: archived.sight,
        };
        let unseen = [stored.unseen, streamed.unseen, archived.unseen].concat();
        Ok((rules, unseen))
    }

    /// Passes the pages of a place on. The inner error is that of the place.
    async fn drain<T>(
        &self,
        phase: Phase,
        mut from: Pages<'_, T>,
        done: &AtomicU64,
        pages: &mpsc::Sender<Read>,
        mut read: impl FnMut(Vec<T>) -> Read,
    ) -> Result<Result<Seen, PortError>, VerifyError> {
        let mut seen = Seen {
            sight: Sight::CLEAR,
            unseen: Vec::new(),
        };
        while let Some(page) = from.next().await {
            if self.watch.stopped() {
                return Err(VerifyError::Stopped);
            }
            match page {
                Ok(Page::Ticks(ticks)) => {
                    let count = ticks.len() as u64;
                    // The other side ends only with an error of the disk, which is reported there.
                    if pages.send(read(ticks)).await.is_err() {
                        return Err(VerifyError::Stopped);
                    }
                    let done = done.fetch_add(count, Ordering::Relaxed) + count;
                    let of = None;
                    self.watch.progress(Progress { phase, done, of });
                }
                Ok(Page::Unseen(Unseen { before_ms, what })) => {
                    seen.sight = seen.sight.without(before_ms);
                    seen.unseen.push(what);
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(seen))
    }

    /// Compares the parts, one after the other, and repairs what each lacks.
    async fn compare(
        &self,
        divided: Divided,
        rules: Rules,
        is_repair: bool,
    ) -> Result<(Tally, Names, Option<Repaired>), VerifyError> {
        let Divided {
            folder,
            parts,
            names,
        } = divided;
        let (names, mut tally) = (Arc::new(names), Tally::default());
        let mut repaired = is_repair.then(Repaired::default);
        let of = parts.len() as u64;
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        let compared = parts.into_iter().map(|part| {
            let (names, folder) = (Arc::clone(&names), folder.path().to_owned());
            tokio::task::spawn_blocking(move || {
                let (mut tally, mut lacking) = (Tally::default(), Lacking::default());
                part.sorted(&folder, &mut |records| {
                    let lacking = is_repair.then_some(&mut lacking);
                    tally.compare(records, &names, &rules, lacking);
                    Ok(())
                })?;
                Ok::<_, io::Error>((tally, lacking))
            })
        });
        let mut compared = futures_util::stream::iter(compared).buffer_unordered(at_once);
        let mut done = 0;
        while let Some(part) = compared.next().await {
            let part = part.map_err(io::Error::other).flatten();
            let (of_part, lacking) = part.map_err(|source| self.disk_error(source))?;
            tally.merge(of_part);
            if let Some(repaired) = &mut repaired {
                put_back(self.repair, &lacking, repaired).await?;
            }
            done += 1;
            let phase = Phase::Compare;
            let of = Some(of);
            self.watch.progress(Progress { phase, done, of });
            if self.watch.stopped() {
                return Err(VerifyError::Stopped);
            }
        }
        drop(compared);
        let names = Arc::into_inner(names).unwrap_or_default();
        Ok((tally, names, repaired))
    }

    fn disk_error(&self, source: io::Error) -> VerifyError {
        VerifyError::Disk {
            folder: self.temp_folder.clone(),
            source,
        }
    }
}

/// Appends and writes what a part lacks.
async fn put_back(
    repair: &dyn Repair,
    lacking: &Lacking,
    repaired: &mut Repaired,
) -> Result<(), VerifyError> {
    let failed = |repaired: &Repaired| {
        let done = repaired.appended + repaired.archived;
        move |source| VerifyError::Repair { done, source }
    };
    for ticks in lacking.in_stream.chunks(REPAIR_TICKS_MAX) {
        repair.append(ticks).await.map_err(failed(repaired))?;
        repaired.appended += ticks.len() as u64;
    }
    if !lacking.in_archive.is_empty() {
        repair
            .archive(&lacking.in_archive)
            .await
            .map_err(failed(repaired))?;
        repaired.archived += lacking.in_archive.len() as u64;
    }
    Ok(())
}

/// Records in parts on disk.
struct Divided {
    folder: TempDir,
    parts: Vec<Part>,
    names: Names,
}

/// Writes the records of pages to their parts, until there are no more pages.
fn divide(mut pages: mpsc::Receiver<Read>, mut runs: Runs, sample: Sample) -> io::Result<Divided> {
    let mut names = Names::default();
    while let Some(page) = pages.blocking_recv() {
        match page {
            Read::Stored(ticks) => {
                for stored in &ticks {
                    let tick = &stored.tick;
                    if sample.has(tick.token.as_str(), tick.timestamp_ms) {
                        runs.push(&Record::stored(stored, &mut names))?;
                    }
                }
            }
            Read::Streamed(ticks) => {
                for tick in &ticks {
                    if sample.has(tick.token.as_str(), tick.timestamp_ms) {
                        runs.push(&Record::streamed(tick, &mut names))?;
                    }
                }
            }
            Read::Archived(ticks) => {
                for tick in &ticks {
                    if sample.has(tick.pair.token.as_str(), tick.timestamp_ms) {
                        runs.push(&Record::archived(tick, &mut names))?;
                    }
                }
            }
        }
    }
    let (folder, parts) = runs.finish()?;
    Ok(Divided {
        folder,
        parts,
        names,
    })
}

/// A place that could be read in part, or not at all.
fn partly(place: Place, seen: Result<Seen, PortError>) -> Seen {
    seen.unwrap_or_else(|error| Seen {
        sight: Sight::NONE,
        unseen: vec![format!(
            "the {} could not be read: {error}: {}",
            place.as_str(),
            error.source
        )],
    })
}

/// The UTC days of a range of receipt times, and the next one at its end, since event times may be ahead of our clock.
#[must_use]
pub fn days_of(range: ReceiptRange) -> BTreeSet<NaiveDate> {
    let (Some(first), Some(last)) = (
        day_of(range.from_ms),
        day_of(range.to_ms.saturating_add(FUTURE_TOLERANCE_MS)),
    ) else {
        return BTreeSet::new();
    };
    first.iter_days().take_while(|day| *day <= last).collect()
}

/// A time for people; the number if it is outside the calendar.
fn utc(epoch_ms: i64) -> String {
    DateTime::from_timestamp_millis(epoch_ms).map_or_else(
        || epoch_ms.to_string(),
        |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
    )
}

fn day_of(epoch_ms: i64) -> Option<NaiveDate> {
    DateTime::from_timestamp_millis(epoch_ms).map(|time| time.date_naive())
}
