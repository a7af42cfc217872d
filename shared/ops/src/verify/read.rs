//! Reads the places, each once, and divides their records into parts on disk.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use app::pace::{WasStopped, next_or_stopped};
use app::ports::PortError;
use app::read_back::{ArchivedTick, Page, Pages, ReceiptRange, StoredTick, UnseenPart};
use app::utc_days::day_of;
use domain::Tick;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::compare::{Due, Rules, Sight};
use super::names::Names;
use super::places::Place;
use super::record::Record;
use super::request::days_of;
use super::runs::{Part, Runs};
use super::sample::Sample;
use super::stored_ids::StoredIds;
use super::{DueAfter, Phase, Progress, Verify, VerifyError};

/// A page on its way to the thread that divides its records.
pub(super) enum Read {
    Stored(Vec<StoredTick>),
    /// All pages of the store have passed.
    StoreEnded,
    Streamed(Vec<Tick>),
    Archived(Vec<ArchivedTick>),
    /// Ticks on their way to a place.
    Pending(Place, Vec<Tick>),
}

/// What could not be seen of each place.
#[derive(Default)]
pub(super) struct Unseen {
    pub(super) store: Vec<String>,
    pub(super) stream: Vec<String>,
    pub(super) archive: Vec<String>,
}

impl Unseen {
    pub(super) fn all(self) -> Vec<String> {
        [self.store, self.stream, self.archive].concat()
    }
}

/// What was read of a place.
struct PlaceRead {
    sight: Sight,
    unseen: Vec<String>,
}

impl PlaceRead {
    const ALL: Self = Self {
        sight: Sight::CLEAR,
        unseen: Vec::new(),
    };

    /// Both: what the other did not see was not seen.
    fn and(mut self, other: Self) -> Self {
        self.sight = self.sight.without(Some(other.sight.before_ms));
        self.unseen.extend(other.unseen);
        self
    }
}

impl Verify<'_> {
    /// Reads the three places. The archive comes last, since the store's ticks say which days it must have.
    ///
    /// Where it is known what is on its way, the store is read before that, and the stream after it: a tick that the
    /// store had was then either on its way or in the stream already, however late its delivery. In another order, a tick
    /// that is stored and appended meanwhile looks missing, and a repair would append it a second time.
    pub(super) async fn read(
        &self,
        range: ReceiptRange,
        due_after: DueAfter,
        pages: mpsc::Sender<Read>,
    ) -> Result<(Rules, Unseen), VerifyError> {
        let places = &self.places;
        let done = AtomicU64::new(0);
        let mut days = days_of(range);
        let stored = async {
            let stored = self.drain(
                range,
                Phase::StoreAndStream,
                places.store.stored(range),
                &done,
                &pages,
                |ticks: Vec<StoredTick>| {
                    let times = ticks.iter().map(|stored| stored.tick.timestamp_ms);
                    days.extend(times.map(day_of));
                    Read::Stored(ticks)
                },
            );
            let stored = stored.await;
            drop(pages.send(Read::StoreEnded).await);
            stored
        };
        let streamed = async {
            let for_stream = self.pending(Place::Stream, range, &done, &pages).await?;
            // Reading begins with this call.
            let pages_of_stream = places.stream.streamed(range);
            let phase = Phase::StoreAndStream;
            let streamed = self.drain(range, phase, pages_of_stream, &done, &pages, Read::Streamed);
            Ok(partly(Place::Stream, streamed.await?).and(for_stream))
        };
        let (stored, streamed) = match places.pending {
            Some(_) => (stored.await, streamed.await),
            None => tokio::join!(stored, streamed),
        };
        let stored = stored?.map_err(VerifyError::Store)?;
        let streamed: PlaceRead = streamed?;
        let for_archive = self.pending(Place::Archive, range, &done, &pages).await?;
        let done = AtomicU64::new(0);
        let archived = places.archive.archived(None, days);
        let archived = self
            .drain(
                range,
                Phase::Archive,
                archived,
                &done,
                &pages,
                Read::Archived,
            )
            .await?;
        let archived = partly(Place::Archive, archived).and(for_archive);
        let rules = Rules {
            range,
            due: Due {
                stream_ms: self.now_ms - due_after.streamed_ms,
                archive_ms: self.now_ms - due_after.archived_ms,
            },
            pending_is_known: places.pending.is_some(),
            only_archived: false,
            store: stored.sight,
            stream: streamed.sight,
            archive: archived.sight,
        };
        let unseen = Unseen {
            store: stored.unseen,
            stream: streamed.unseen,
            archive: archived.unseen,
        };
        Ok((rules, unseen))
    }

    /// Reads what is on its way to a place.
    async fn pending(
        &self,
        to: Place,
        range: ReceiptRange,
        done: &AtomicU64,
        pages: &mpsc::Sender<Read>,
    ) -> Result<PlaceRead, VerifyError> {
        let Some(pending) = self.places.pending else {
            return Ok(PlaceRead::ALL);
        };
        let read = |ticks| Read::Pending(to, ticks);
        let phase = Phase::StoreAndStream;
        let from = pending.pending(to, range);
        let read = self.drain(range, phase, from, done, pages, read).await?;
        read.map_err(VerifyError::Store)
    }

    /// Passes the pages of a place on. The inner error is that of the place.
    async fn drain<T>(
        &self,
        range: ReceiptRange,
        phase: Phase,
        mut from: Pages<'_, T>,
        done: &AtomicU64,
        pages: &mpsc::Sender<Read>,
        mut read: impl FnMut(Vec<T>) -> Read,
    ) -> Result<Result<PlaceRead, PortError>, VerifyError> {
        let mut seen = PlaceRead::ALL;
        let stopped = || self.watch.stopped();
        loop {
            let next = next_or_stopped(&mut from, &stopped).await;
            let Some(page) = next.map_err(|WasStopped| VerifyError::Stopped)? else {
                return Ok(Ok(seen));
            };
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
                Ok(Page::Unseen(UnseenPart { before_ms, what })) => {
                    seen.sight = seen.sight.without(before_ms);
                    if before_ms.is_none_or(|before_ms| range.from_ms < before_ms) {
                        seen.unseen.push(what);
                    }
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

/// Records in parts on disk.
pub(super) struct Divided {
    pub(super) folder: TempDir,
    pub(super) parts: Vec<Part>,
    pub(super) names: Names,
}

/// Writes the records of pages to their parts, until there are no more pages.
///
/// Ticks of stream and archive with another time of receipt are only needed if the store has them. Until all of the store
/// was read, they are written, too.
pub(super) fn divide(
    mut pages: mpsc::Receiver<Read>,
    mut runs: Runs,
    range: ReceiptRange,
    sample: Sample,
) -> io::Result<Divided> {
    let mut names = Names::default();
    let (mut stored_ids, mut is_store_read) = (StoredIds::default(), false);
    let is_in_sample = |tick: &Tick| sample.has(tick.token.as_str(), tick.timestamp_ms);
    while let Some(page) = pages.blocking_recv() {
        match page {
            Read::Stored(ticks) => {
                for stored in &ticks {
                    if is_in_sample(&stored.tick) {
                        stored_ids.insert(stored.tick.tick_id.as_bytes());
                        runs.push(&Record::stored(stored, &mut names))?;
                    }
                }
            }
            Read::StoreEnded => is_store_read = true,
            Read::Streamed(ticks) => {
                let is_needed = |tick: &Tick| {
                    range.contains(tick.ingested_at_ms)
                        || !is_store_read
                        || stored_ids.may_have(tick.tick_id.as_bytes())
                };
                for tick in &ticks {
                    if is_needed(tick) && is_in_sample(tick) {
                        runs.push(&Record::streamed(tick, &mut names))?;
                    }
                }
            }
            Read::Pending(place, ticks) => {
                for tick in ticks.iter().filter(|tick| is_in_sample(tick)) {
                    runs.push(&Record::pending(place, tick, &mut names))?;
                }
            }
            Read::Archived(ticks) => {
                let is_needed = |tick: &ArchivedTick| {
                    tick.ingested_at_ms.is_some_and(|at| range.contains(at))
                        || stored_ids.may_have(tick.tick_id.as_bytes())
                };
                for tick in ticks.iter().filter(|tick| is_needed(tick)) {
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
fn partly(place: Place, seen: Result<PlaceRead, PortError>) -> PlaceRead {
    seen.unwrap_or_else(|error| PlaceRead {
        sight: Sight::NONE,
        unseen: vec![format!(
            "the {} could not be read: {error}: {}",
            place.as_str(),
            error.source
        )],
    })
}
