//! Reads ticks back by the time of their receipt, from the store and from the stream.

use app::ports::PortError;
use app::read_back::{
    PAGE_TICKS, Page, PageSender, Pages, ReceiptRange, StoredTick, StoredTicks, StreamedTicks,
    UnseenPart, channel,
};
use app::time_text::time_text;
use domain::{Tick, count_of};
use ops::verify::{PendingTicks, Place};

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::day;
use crate::keys::outbox_entry::Entry;
use crate::keys::stream_block::{self, SHARDS};
use crate::keys::{meta, number_of, tick};
use crate::shared_state::SharedState;
use crate::stream::read_after;

/// The longest time from the receipt of a tick to its append, milliseconds. Records are in the order of their appends, so
/// one that an earlier version removed from the beginning may have been received this much later than the first one that is
/// left; or later still, if the first one came late, from the outbox. A removed one is in the archive, which shows that.
const APPENDED_WITHIN_MS: i64 = 60_000;

impl StoredTicks for EmbeddedStore {
    fn stored(&self, range: ReceiptRange) -> Pages<'_, StoredTick> {
        self.pages("read the store", move |inner, sender| {
            stored(inner, range, sender)
        })
    }
}

impl StreamedTicks for EmbeddedStore {
    fn streamed(&self, _: ReceiptRange) -> Pages<'_, Tick> {
        self.pages("read the stream", |inner, sender| {
            (0..SHARDS).try_for_each(|shard| streamed(inner, shard, sender))
        })
    }
}

/// The outbox knows what will come to the stream, and the archiver's checkpoints what will come to the archive.
impl PendingTicks for EmbeddedStore {
    fn pending(&self, to: Place, range: ReceiptRange) -> Pages<'_, Tick> {
        self.pages("read what is on its way", move |inner, sender| match to {
            Place::Stream => in_outbox(inner, range, sender),
            Place::Archive => {
                (0..SHARDS).try_for_each(|shard| unarchived(inner, shard, range, sender))
            }
        })
    }
}

/// Why reading ended early.
enum Ended {
    /// Nobody wants more.
    Unwanted,
    Failed(StorageError),
}

impl From<StorageError> for Ended {
    fn from(error: StorageError) -> Self {
        Self::Failed(error)
    }
}

impl From<fjall::Error> for Ended {
    fn from(error: fjall::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl EmbeddedStore {
    /// Reads on a thread that may block, as of the moment at which it begins.
    fn pages<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&SharedState, &PageSender<T>) -> Result<(), Ended> + Send + 'static,
    ) -> Pages<'static, T> {
        let (sender, pages) = channel();
        let inner = std::sync::Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || {
            if let Err(Ended::Failed(error)) = read(&inner, &sender) {
                let error: PortError = error.at(operation);
                drop(sender.blocking_send(Err(error)));
            }
        });
        pages
    }
}

fn send<T>(sender: &PageSender<T>, page: Page<T>) -> Result<(), Ended> {
    sender.blocking_send(Ok(page)).map_err(|_| Ended::Unwanted)
}

fn unseen<T>(sender: &PageSender<T>, before_ms: Option<i64>, what: String) -> Result<(), Ended> {
    send(sender, Page::Unseen(UnseenPart { before_ms, what }))
}

/// Sends a page if it is full.
fn send_full<T>(sender: &PageSender<T>, ticks: &mut Vec<T>) -> Result<(), Ended> {
    if ticks.len() >= PAGE_TICKS {
        send(sender, Page::Ticks(std::mem::take(ticks)))?;
    }
    Ok(())
}

/// Ends reading that finds nothing to send, once in a while, if nobody wants more.
fn check_wanted<T>(sender: &PageSender<T>, passed_over: usize) -> Result<(), Ended> {
    match passed_over.is_multiple_of(PAGE_TICKS) && sender.is_closed() {
        true => Err(Ended::Unwanted),
        false => Ok(()),
    }
}

/// Rows are sorted by the day of receipt.
fn stored(
    inner: &SharedState,
    range: ReceiptRange,
    sender: &PageSender<StoredTick>,
) -> Result<(), Ended> {
    let first_day = inner.first_day();
    let kept_from_ms = day::start_ms(first_day);
    // From the first day on, nothing was removed.
    if first_day > 0 && range.from_ms < kept_from_ms {
        let what = format!(
            "the store has ticks that were received from {} on; older ones may have been removed",
            time_text(kept_from_ms)
        );
        unseen(sender, Some(kept_from_ms), what)?;
    }
    let from = day::of(range.from_ms).max(first_day);
    // With a clock that went back, a row is in a later day than that of its receipt.
    let to = day::of(range.to_ms.saturating_sub(1)).max(first_day);
    let mut ticks = Vec::new();
    let mut unreadable = 0_u64;
    let mut passed_over = 0;
    for guard in inner.spaces.ticks.range(from.to_be_bytes().as_slice()..) {
        let (key, value) = guard.into_inner()?;
        if key
            .first_chunk()
            .is_none_or(|day| u16::from_be_bytes(*day) > to)
        {
            break;
        }
        match tick::decode_decided(&value) {
            Ok((tick, in_cohort)) if range.contains(tick.ingested_at_ms) => {
                ticks.push(StoredTick { tick, in_cohort });
            }
            Ok(_) => {
                passed_over += 1;
                check_wanted(sender, passed_over)?;
            }
            Err(_) => unreadable += 1,
        }
        send_full(sender, &mut ticks)?;
    }
    send(sender, Page::Ticks(ticks))?;
    if unreadable > 0 {
        let what = format!(
            "{} of the store cannot be read",
            count_of(unreadable, "row")
        );
        unseen(sender, None, what)?;
    }
    Ok(())
}

/// The ticks of outbox entries that are not in the stream yet, but belong there.
fn in_outbox(
    inner: &SharedState,
    range: ReceiptRange,
    sender: &PageSender<Tick>,
) -> Result<(), Ended> {
    let mut ticks = Vec::new();
    for guard in inner.spaces.outbox.iter() {
        let entry = Entry::decode(&guard.value()?)?;
        for key in &entry.keys {
            // Retention may have removed it.
            let Some(row) = inner.spaces.ticks.get(key)? else {
                continue;
            };
            // One that cannot be read is reported where the store is read.
            if let Ok((tick, in_cohort)) = tick::decode_decided(&row)
                && in_cohort != Some(false)
                && range.contains(tick.ingested_at_ms)
            {
                ticks.push(tick);
            }
        }
        send_full(sender, &mut ticks)?;
    }
    send(sender, Page::Ticks(ticks))
}

/// The ticks of the records of a shard that the archiver has not passed.
fn unarchived(
    inner: &SharedState,
    shard: u8,
    range: ReceiptRange,
    sender: &PageSender<Tick>,
) -> Result<(), Ended> {
    let mut after = inner.checkpoint(meta::ARCHIVE, shard)?.count();
    loop {
        let records = read_after(inner, shard, after, PAGE_TICKS)?;
        let Some(last) = records.last() else {
            return Ok(());
        };
        after = last.sequence.count();
        let ticks = records.into_iter().map(|record| record.tick);
        let ticks = ticks.filter(|tick| range.contains(tick.ingested_at_ms));
        send(sender, Page::Ticks(ticks.collect()))?;
    }
}

fn streamed(inner: &SharedState, shard: u8, sender: &PageSender<Tick>) -> Result<(), Ended> {
    let end = inner.with_state(|state| state.end_offsets.get(usize::from(shard)).copied());
    let mut ticks = Vec::new();
    // The sequence number of the next record, if nothing is missing.
    let mut next = 1;
    for guard in inner.spaces.shard(shard)?.iter() {
        if sender.is_closed() {
            return Err(Ended::Unwanted);
        }
        let (key, value) = guard.into_inner()?;
        let first = number_of(&key)?;
        let block = match stream_block::read(&value) {
            Ok(block) => block,
            Err(error @ StorageError::Corrupt { .. }) => {
                let what = format!(
                    "a block of the stream cannot be read (shard {shard}, from record {first} on): {error}"
                );
                unseen(sender, None, what)?;
                next = 0;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let is_first = next == 1 && first > 1;
        if is_first && let Some(received_ms) = block.iter().map(|tick| tick.ingested_at_ms).max() {
            let removed_until_ms = inner.removed_until_ms(shard)?;
            let before_ms = removed_until_ms.map_or(received_ms + APPENDED_WITHIN_MS, |ms| ms + 1);
            let what = format!(
                "shard {shard} of the stream has records from {first} on, received at {}; earlier ones have been \
                 removed",
                time_text(received_ms)
            );
            unseen(sender, Some(before_ms), what)?;
        }
        next = first + block.len() as u64;
        ticks.extend(block);
        send_full(sender, &mut ticks)?;
    }
    if next == 1 && end.is_some_and(|end| end > 0) {
        let what = format!("all records of shard {shard} of the stream have been removed");
        unseen(sender, None, what)?;
    }
    send(sender, Page::Ticks(ticks))
}
