//! Notes of stored ticks that are not yet offered, and the walk over those whose delivery has
//! ended.
//!
//! A note says where the stream's heads were before its ticks could have been appended. To tell
//! which of them the stream has, a walk gathers the notes of a window, reads each shard once from
//! the lowest of their heads on, and then answers note by note. So it costs one pass over what was
//! appended meanwhile, however many notes there are.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, PoisonError};

use app::ports::{InStream, Outbox, PendingBatch, PendingId, PortError};
use async_trait::async_trait;
use domain::TickId;
use serde::{Deserialize, Serialize};

use crate::embedded::{Embedded, Inner};
use crate::error::StorageError;
use crate::spaces::number_of;
use crate::stream::{self, SHARDS};
use crate::ticks::decode;

/// Ticks in the notes of one window: their ids, 16 bytes each, are held in memory for as long as
/// the window is walked.
const WINDOW_TICKS_MAX: usize = 500_000;

/// Ticks in one answer, unless a single note has more (a delivery's 10,000).
const ANSWER_TICKS_MAX: usize = 5_000;

/// Records of the stream, or notes, that are read in one step: a walk that is dropped goes on to
/// the end of its step.
const STEP_RECORDS: usize = 5_000;

/// Stored ticks that are not yet offered to stream and broadcast.
#[derive(Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) created_ms: i64,
    /// The stream's heads before the ticks could have been appended.
    pub(crate) heads: [u64; SHARDS as usize],
    /// The keys of the ticks; a key ends with the tick's id.
    pub(crate) keys: Vec<Vec<u8>>,
}

/// Which notes may be worked off: those of a process before this one, and those that a delivery of
/// this one has left. All others belong to deliveries under way.
pub(crate) struct Backlog {
    left: Mutex<Left>,
    /// The walk under way.
    window: tokio::sync::Mutex<Window>,
}

struct Left {
    /// The last note of the processes before; `None` once their notes are among the numbers.
    earlier: Option<u64>,
    numbers: BTreeSet<u64>,
}

/// Notes whose ticks were looked up in the stream together.
#[derive(Default)]
struct Window {
    numbers: VecDeque<u64>,
    /// Those of their ticks that the stream has.
    streamed: Arc<HashSet<TickId>>,
}

/// The notes of a window before the stream is read.
struct Gathered {
    numbers: VecDeque<u64>,
    heads: [u64; SHARDS as usize],
    wanted: HashSet<TickId>,
}

impl Backlog {
    /// A backlog where `notes` is the last note that was written before.
    pub(crate) fn after(notes: u64) -> Self {
        Self {
            left: Mutex::new(Left {
                earlier: Some(notes),
                numbers: BTreeSet::new(),
            }),
            window: tokio::sync::Mutex::default(),
        }
    }

    /// Takes a note whose delivery has ended.
    pub(crate) fn leave(&self, PendingId(number): PendingId) {
        self.look(|left| left.numbers.insert(number));
    }

    /// Forgets a note that was settled.
    pub(crate) fn settled(&self, PendingId(number): PendingId) {
        self.look(|left| left.numbers.remove(&number));
    }

    fn look<R>(&self, look: impl FnOnce(&mut Left) -> R) -> R {
        look(&mut self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Outbox for Embedded {
    async fn pending(&self, after: Option<PendingId>) -> Result<Vec<PendingBatch>, PortError> {
        self.next_left(after)
            .await
            .map_err(|error| error.at("read pending ticks"))
    }
}

impl Embedded {
    async fn next_left(&self, after: Option<PendingId>) -> Result<Vec<PendingBatch>, StorageError> {
        let mut window = self.inner.backlog.window.lock().await;
        let after = after.map_or(0, |PendingId(number)| number);
        if after == 0 {
            // A new walk: what a former one saw of the stream may be out of date.
            *window = Window::default();
            self.find_earlier().await?;
        }
        while window.numbers.front().is_some_and(|next| *next <= after) {
            window.numbers.pop_front();
        }
        if window.numbers.is_empty() {
            *window = self.open_window(after).await?;
        }
        let numbers = window.numbers.clone();
        let streamed = Arc::clone(&window.streamed);
        self.read(move |inner| answer(inner, &numbers, &streamed))
            .await
    }

    /// Finds the notes of the processes before, once.
    async fn find_earlier(&self) -> Result<(), StorageError> {
        let Some(last) = self.inner.backlog.look(|left| left.earlier) else {
            return Ok(());
        };
        let mut from = 0;
        loop {
            let keys = self.read(move |inner| keys_of_notes(inner, from, last));
            let keys = keys.await?;
            let Some(newest) = keys.last().copied() else {
                break;
            };
            self.inner.backlog.look(|left| left.numbers.extend(keys));
            from = newest + 1;
        }
        self.inner.backlog.look(|left| left.earlier = None);
        Ok(())
    }

    /// Gathers the next notes, and looks their ticks up in the stream.
    async fn open_window(&self, after: u64) -> Result<Window, StorageError> {
        let mut gathered = Gathered {
            numbers: VecDeque::new(),
            heads: [u64::MAX; SHARDS as usize],
            wanted: HashSet::new(),
        };
        let mut last = after;
        while gathered.wanted.len() < WINDOW_TICKS_MAX {
            let next: Vec<u64> = self.inner.backlog.look(|left| {
                let next = left.numbers.range((Excluded(last), Unbounded));
                next.take(STEP_RECORDS).copied().collect()
            });
            if next.is_empty() {
                break;
            }
            (gathered, last) = self
                .read(move |inner| gather(inner, gathered, &next))
                .await?;
        }
        let Gathered {
            numbers,
            heads,
            wanted,
        } = gathered;
        if numbers.is_empty() {
            return Ok(Window::default());
        }
        // Jobs are done in order: what a delivery that was cut off still had in the writer's
        // queue is in the stream after this one.
        self.commit(|_| Ok(())).await?;
        let streamed = self.look_up(heads, wanted).await?;
        Ok(Window {
            numbers,
            streamed: Arc::new(streamed),
        })
    }

    /// Those of the wanted ids that the stream has after the given heads.
    async fn look_up(
        &self,
        from: [u64; SHARDS as usize],
        wanted: HashSet<TickId>,
    ) -> Result<HashSet<TickId>, StorageError> {
        let wanted = Arc::new(wanted);
        let mut streamed = HashSet::new();
        let heads = self.inner.look(|state| state.heads);
        for ((shard, mut after), head) in (0_u8..).zip(from).zip(heads) {
            while after < head {
                let wanted = Arc::clone(&wanted);
                let step = self.read(move |inner| {
                    let records = stream::read_after(inner, shard, after, STEP_RECORDS)?;
                    let last = records.last().map(|record| record.sequence.count());
                    let ids = records.iter().map(|record| record.tick.tick_id);
                    let found: Vec<_> = ids.filter(|id| wanted.contains(id)).collect();
                    Ok((last, found))
                });
                let (last, found) = step.await?;
                streamed.extend(found);
                // Retention may have removed what came before the head.
                after = last.unwrap_or(head);
            }
        }
        Ok(streamed)
    }
}

/// The numbers of the next notes from one on.
fn keys_of_notes(inner: &Inner, from: u64, last: u64) -> Result<Vec<u64>, StorageError> {
    if from > last {
        return Ok(Vec::new());
    }
    let notes = &inner.spaces.pending;
    let range = from.to_be_bytes()..=last.to_be_bytes();
    let keys = notes.range(range).take(STEP_RECORDS).map(fjall::Guard::key);
    keys.map(|key| number_of(&key?)).collect()
}

/// Adds notes to a window until it is full; answers the last one that was looked at.
fn gather(
    inner: &Inner,
    mut gathered: Gathered,
    next: &[u64],
) -> Result<(Gathered, u64), StorageError> {
    let mut last = 0;
    for number in next {
        last = *number;
        let Some(note) = note(inner, *number)? else {
            inner.backlog.settled(PendingId(*number));
            continue;
        };
        for (lowest, head) in gathered.heads.iter_mut().zip(note.heads) {
            *lowest = head.min(*lowest);
        }
        let ids = note.keys.iter().filter_map(|key| key.last_chunk::<16>());
        gathered
            .wanted
            .extend(ids.map(|id| TickId::from_bytes(*id)));
        gathered.numbers.push_back(*number);
        if gathered.wanted.len() >= WINDOW_TICKS_MAX {
            break;
        }
    }
    Ok((gathered, last))
}

/// The first notes of a window with their ticks.
fn answer(
    inner: &Inner,
    numbers: &VecDeque<u64>,
    streamed: &HashSet<TickId>,
) -> Result<Vec<PendingBatch>, StorageError> {
    let mut batches = Vec::new();
    let mut count = 0;
    for number in numbers {
        let Some(note) = note(inner, *number)? else {
            continue;
        };
        count += note.keys.len();
        if count > ANSWER_TICKS_MAX && !batches.is_empty() {
            break;
        }
        let mut ticks = Vec::with_capacity(note.keys.len());
        for key in &note.keys {
            // Retention may have been there.
            let Some(bytes) = inner.spaces.ticks.get(key)? else {
                continue;
            };
            let tick = decode(&bytes)?;
            let seen = if streamed.contains(&tick.tick_id) {
                InStream::Yes
            } else {
                InStream::No
            };
            ticks.push((tick, seen));
        }
        batches.push(PendingBatch {
            id: PendingId(*number),
            ticks,
        });
    }
    Ok(batches)
}

fn note(inner: &Inner, number: u64) -> Result<Option<Note>, StorageError> {
    let Some(bytes) = inner.spaces.pending.get(number.to_be_bytes())? else {
        return Ok(None);
    };
    let note = postcard::from_bytes(&bytes);
    note.map(Some)
        .map_err(|error| StorageError::corrupt("note", error))
}
