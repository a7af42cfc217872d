//! Places in memory, which can be broken.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use app::ports::PortError;
use app::read_back::{
    ArchivedTick, ArchivedTicks, Page, Pages, ReceiptRange, StoredTick, StoredTicks, StreamedTicks,
    UnseenPart,
};
use app::utc_days::day_of;
use async_trait::async_trait;
use chrono::NaiveDate;
use domain::Tick;
use futures_util::{StreamExt as _, stream};
use testkit::ticks::{self, tick};

use super::super::{PendingTicks, Place, Progress, Repair, Watch};

/// Ticks of three places.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) stored: Vec<StoredTick>,
    pub(super) streamed: Mutex<Vec<Tick>>,
    pub(super) archived: Mutex<Vec<ArchivedTick>>,
    /// On their way to the stream, and to the archive.
    pub(super) pending: [Vec<Tick>; 2],
    pub(super) stream_unseen: Option<UnseenPart>,
    pub(super) archive_error: bool,
    /// The archive never sends a page, and it is stopped then.
    pub(super) archive_hangs: Option<Arc<AtomicBool>>,
}

fn pages<T: Clone + Send>(
    ticks: &[T],
    unseen: Option<&UnseenPart>,
) -> Vec<Result<Page<T>, PortError>> {
    let unseen = unseen.into_iter().map(|it| Ok(Page::Unseen(it.clone())));
    let ticks = ticks.chunks(100).map(|page| Ok(Page::Ticks(page.to_vec())));
    unseen.chain(ticks).collect()
}

impl StoredTicks for Memory {
    fn stored(&self, range: ReceiptRange) -> Pages<'_, StoredTick> {
        let mut ticks = self.stored.clone();
        ticks.retain(|stored| range.contains(stored.tick.ingested_at_ms));
        stream::iter(pages(&ticks, None)).boxed()
    }
}

impl StreamedTicks for Memory {
    fn streamed(&self, _: ReceiptRange) -> Pages<'_, Tick> {
        let ticks = self.streamed.lock().unwrap().clone();
        stream::iter(pages(&ticks, self.stream_unseen.as_ref())).boxed()
    }
}

impl ArchivedTicks for Memory {
    fn archived(
        &self,
        range: Option<ReceiptRange>,
        days: BTreeSet<NaiveDate>,
    ) -> Pages<'_, ArchivedTick> {
        assert_eq!(range, None, "copies may have another time of receipt");
        if let Some(stopped) = &self.archive_hangs {
            stopped.store(true, Ordering::Relaxed);
            return stream::pending().boxed();
        }
        let mut ticks = self.archived.lock().unwrap().clone();
        ticks.retain(|tick| days.contains(&day_of(tick.timestamp_ms)));
        let mut pages = pages(&ticks, None);
        if self.archive_error {
            pages.push(Err(PortError {
                operation: "read the archive",
                retryable: false,
                source: "access denied".into(),
            }));
        }
        stream::iter(pages).boxed()
    }
}

impl PendingTicks for Memory {
    fn pending(&self, to: Place, range: ReceiptRange) -> Pages<'_, Tick> {
        let mut ticks = self.pending[to as usize].clone();
        ticks.retain(|tick| range.contains(tick.ingested_at_ms));
        stream::iter(pages(&ticks, None)).boxed()
    }
}

#[async_trait]
impl Repair for Memory {
    async fn append(&self, ticks: &[Tick]) -> Result<u64, PortError> {
        self.streamed.lock().unwrap().extend_from_slice(ticks);
        Ok(ticks.len() as u64)
    }
    async fn archive(&self, ticks: &[Tick]) -> Result<(), PortError> {
        let mut archived = self.archived.lock().unwrap();
        archived.extend(ticks.iter().map(ticks::archived));
        Ok(())
    }
}

/// Wants to stop, or not.
pub(super) struct Quiet {
    pub(super) stopped: Arc<AtomicBool>,
}

impl Watch for Quiet {
    fn progress(&self, _: Progress) {}
    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Ticks a second apart, of which every tenth is outside the cohort, all where they belong.
pub(super) fn healthy(count: u32) -> Memory {
    let mut memory = Memory::default();
    for n in 0..count {
        let tick = tick(&format!("T{}", n % 7), n);
        let in_cohort = n % 10 != 9;
        memory.stored.push(StoredTick {
            tick: tick.clone(),
            in_cohort: Some(in_cohort),
        });
        if in_cohort {
            memory
                .archived
                .get_mut()
                .unwrap()
                .push(ticks::archived(&tick));
            memory.streamed.get_mut().unwrap().push(tick);
        }
    }
    memory
}
