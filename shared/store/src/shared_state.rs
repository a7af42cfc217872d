//! The state shared by the writer and the readers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use domain::Pair;
use tokio::sync::watch;

use crate::day_index::DayIndex;
use crate::disk::Disk;
use crate::drainable_entries::Released;
use crate::error::StorageError;
use crate::keys::day::Day;
use crate::keys::event_day::Kind;
use crate::keys::meta;
use crate::keyspaces::Keyspaces;
use crate::pairs::{self, Pairs, WarmPair};
use crate::state::State;

/// What the writer and the readers share.
pub(crate) struct SharedState {
    pub(crate) spaces: Keyspaces,
    pub(crate) pairs: Pairs,
    /// Which event days the ticks of each day have.
    pub(crate) tick_days: DayIndex,
    /// Which days the candles of each day belong to.
    pub(crate) candle_days: DayIndex,
    pub(crate) released: Released,
    pub(crate) disk: Disk,
    failed: watch::Sender<bool>,
    first_day: AtomicU16,
    state: RwLock<State>,
    commits: watch::Sender<u64>,
    resumed: AtomicU64,
    /// Blocks of the stream that cannot be read: the shard, and the number of the first record.
    unreadable_blocks: Mutex<BTreeSet<(u8, u64)>>,
    /// The ticks that each of [`meta::CONSUMERS`] has set aside.
    set_aside: [AtomicU64; meta::CONSUMERS.len()],
}

impl SharedState {
    /// Reads what is kept in memory.
    pub(crate) fn open(spaces: Keyspaces, disk: Disk, state: State) -> Result<Self, StorageError> {
        let first_day = match spaces.meta.get(meta::FIRST_DAY)? {
            Some(bytes) => bytes
                .first_chunk()
                .map_or(0, |day| Day::from_be_bytes(*day)),
            None => 0,
        };
        let tick_days = DayIndex::open(Kind::Ticks, &spaces)?;
        let candle_days = DayIndex::open(Kind::Candles, &spaces)?;
        let pairs = Pairs::open(&spaces, &tick_days, first_day)?;
        let (commits, _) = watch::channel(0);
        Ok(Self {
            spaces,
            pairs,
            tick_days,
            candle_days,
            released: Released::up_to(state.outbox_entries),
            disk,
            failed: watch::channel(false).0,
            first_day: AtomicU16::new(first_day),
            state: RwLock::new(state),
            commits,
            resumed: AtomicU64::new(0),
            unreadable_blocks: Mutex::default(),
            set_aside: Default::default(),
        })
    }

    /// Records that the engine failed.
    pub(crate) fn set_failed(&self) {
        self.failed.send_replace(true);
    }

    /// Whether the engine has failed.
    pub(crate) fn has_failed(&self) -> bool {
        *self.failed.borrow()
    }

    /// Waits until the engine has failed.
    pub(crate) async fn failed(&self) {
        // The sender is in `self`, so it does not end before.
        drop(self.failed.subscribe().wait_for(|failed| *failed).await);
    }

    /// The first day that is kept.
    pub(crate) fn first_day(&self) -> Day {
        self.first_day.load(Ordering::Acquire)
    }

    /// Hides all earlier days from readers.
    pub(crate) fn set_first_day(&self, day: Day) {
        self.first_day.fetch_max(day, Ordering::AcqRel);
    }

    /// The day for rows that have no receipt of their own: that of the last ticks.
    pub(crate) fn today(&self) -> Day {
        self.tick_days
            .last_day()
            .unwrap_or_default()
            .max(self.first_day())
    }

    /// A pair with ticks, from memory or the store.
    pub(crate) fn pair(&self, pair: &Pair) -> Result<Option<WarmPair>, StorageError> {
        match self.pairs.find(pair) {
            Some(found) => Ok((found.row.last_day >= self.first_day()).then_some(found)),
            None => pairs::stored(&self.spaces, &self.tick_days, self.first_day(), pair),
        }
    }

    /// The number of a pair with ticks.
    pub(crate) fn pair_number(&self, pair: &Pair) -> Result<Option<u32>, StorageError> {
        let row = match self.pairs.find(pair) {
            Some(found) => Some(found.row).filter(|row| row.last_day >= self.first_day()),
            None => pairs::row(&self.spaces, self.first_day(), pair)?,
        };
        Ok(row.map(|row| row.number))
    }

    /// The number of commits; it changes whenever something new is readable.
    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// The state after the last commit.
    pub(crate) fn state(&self) -> State {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Counts a pair whose analytics state could not be read.
    pub(crate) fn count_resumed(&self) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many pairs' analytics states could not be read since the start.
    pub(crate) fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    /// Records a block of the stream that cannot be read; returns whether it was not known.
    pub(crate) fn is_first_sight_of(&self, shard: u8, first: u64) -> bool {
        let blocks = self.unreadable_blocks.lock();
        let mut blocks = blocks.unwrap_or_else(PoisonError::into_inner);
        blocks.insert((shard, first))
    }

    /// How many blocks of the stream turned out to be unreadable since the start.
    pub(crate) fn unreadable_blocks(&self) -> u64 {
        let blocks = self.unreadable_blocks.lock();
        blocks.unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// Counts ticks that a consumer has set aside.
    pub(crate) fn count_set_aside(&self, consumer: &str, ticks: u64) {
        if let Some(count) = self.set_aside_by(consumer) {
            count.fetch_add(ticks, Ordering::Relaxed);
        }
    }

    /// How many ticks a consumer has set aside since the start.
    pub(crate) fn set_aside(&self, consumer: &str) -> u64 {
        let count = self.set_aside_by(consumer);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn set_aside_by(&self, consumer: &str) -> Option<&AtomicU64> {
        let mut counts = meta::CONSUMERS.iter().zip(&self.set_aside);
        counts
            .find(|(name, _)| **name == consumer)
            .map(|(_, count)| count)
    }

    /// Reads the state after the last commit.
    pub(crate) fn with_state<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn publish(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        self.commits.send_modify(|commits| *commits += 1);
    }
}
