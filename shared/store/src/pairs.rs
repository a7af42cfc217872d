//! Pairs by name: a tick's key holds four bytes instead of two names.
//!
//! The store has all pairs; those with the most recent ticks are kept in memory ("warm"), with the latest
//! tick of each. Only the writer adds warm pairs: a reader that did so could put back an older state.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::Pair;
use domain::analytics::Latest;
use domain::{Tick, TickId};
use lru::LruCache;

use crate::day_index::DayIndex;
use crate::error::StorageError;
use crate::keys::day::{self, Day};
use crate::keys::pair::{self, PairRow};
use crate::keys::{meta, number_of, tick};
use crate::keyspaces::Keyspaces;

/// The most pairs in memory, about 600 bytes each. Looking up another one takes a few reads.
const WARM_PAIRS_MAX: NonZeroUsize = NonZeroUsize::new(50_000).expect("it is not 0");

/// The most pairs that are read when the store is opened.
const OPENED_PAIRS_MAX: usize = 1_000;

/// The most rows that are read to find a pair's latest tick, if ticks ahead of our clock come after it.
const LATEST_ROWS_MAX: usize = 1_000;

/// The order of keys: event time, then id.
pub(crate) type KeyOrder = (i64, TickId);

pub(crate) fn key_order(tick: &Tick) -> KeyOrder {
    (tick.timestamp_ms, tick.tick_id)
}

/// A pair, as of the last commit.
#[derive(Debug, Clone)]
pub(crate) struct WarmPair {
    pub(crate) row: PairRow,
    /// The last key: no stored tick has a later one.
    pub(crate) last_key: Option<KeyOrder>,
    /// The latest tick by effective time, for readers.
    pub(crate) latest: Option<Arc<Tick>>,
}

impl WarmPair {
    pub(crate) fn new(row: PairRow) -> Self {
        Self {
            row,
            last_key: None,
            latest: None,
        }
    }

    /// Takes a tick into account.
    pub(crate) fn renew(&mut self, tick: &Arc<Tick>) {
        let is_later = |held: &Arc<Tick>| Latest::of(held) <= Latest::of(tick);
        if self.latest.as_ref().is_none_or(is_later) {
            self.latest = Some(Arc::clone(tick));
        }
        self.last_key = self.last_key.max(Some(key_order(tick)));
    }
}

/// The pairs with ticks.
pub(crate) struct Pairs {
    warm: Mutex<LruCache<Pair, WarmPair>>,
    live: AtomicU64,
}

impl Pairs {
    /// Reads some pairs of the last day, so that readers who want the latest of all see them at once.
    pub(crate) fn open(
        spaces: &Keyspaces,
        ticks: &DayIndex,
        first_day: Day,
    ) -> Result<Self, StorageError> {
        let live = match spaces.meta.get(meta::PAIRS_LIVE)? {
            Some(bytes) => number_of(&bytes)?,
            None => 0,
        };
        let pairs = Self {
            warm: Mutex::new(LruCache::new(WARM_PAIRS_MAX)),
            live: AtomicU64::new(live),
        };
        let mut opened = Vec::new();
        if let Some(last_day) = ticks.last_day() {
            let mut from = tick::prefix(last_day, 0);
            while opened.len() < OPENED_PAIRS_MAX {
                let Some(guard) = spaces.ticks.range(from..).next() else {
                    break;
                };
                let (key, value) = guard.into_inner()?;
                let Some(next) = tick::pair_of(&key).and_then(|number| number.checked_add(1))
                else {
                    break;
                };
                opened.push(Pair::of(&tick::decode(&value)?));
                from = tick::prefix(last_day, next);
            }
        }
        // The least recent ones first.
        for pair in opened.into_iter().rev() {
            if let Some(found) = stored(spaces, ticks, first_day, &pair)? {
                pairs.warm(|warm| warm.put(pair, found));
            }
        }
        Ok(pairs)
    }

    /// A pair in memory.
    pub(crate) fn find(&self, pair: &Pair) -> Option<WarmPair> {
        self.warm(|warm| warm.peek(pair).cloned())
    }

    /// Keeps a pair in memory, as the most recent one. Only the writer may do so, after a commit.
    pub(crate) fn keep(&self, pair: Pair, state: WarmPair) {
        self.warm(|warm| warm.put(pair, state));
    }

    /// Forgets a pair that was removed.
    pub(crate) fn forget(&self, pair: &Pair) {
        self.warm(|warm| warm.pop(pair));
    }

    /// The latest ticks of the pairs with the most recent ones.
    pub(crate) fn recent(&self, limit: usize) -> Vec<Arc<Tick>> {
        self.warm(|warm| {
            let latest = warm.iter().filter_map(|(_, pair)| pair.latest.clone());
            latest.take(limit).collect()
        })
    }

    /// How many pairs have ticks.
    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// Sets how many pairs have ticks.
    pub(crate) fn set_live(&self, live: u64) {
        self.live.store(live, Ordering::Relaxed);
    }

    fn warm<R>(&self, work: impl FnOnce(&mut LruCache<Pair, WarmPair>) -> R) -> R {
        work(&mut self.warm.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A stored pair whose last tick is not expired.
pub(crate) fn row(
    spaces: &Keyspaces,
    first_day: Day,
    pair: &Pair,
) -> Result<Option<PairRow>, StorageError> {
    let found = spaces.pairs.get(pair::key(pair))?;
    let row = found.map(|bytes| pair::decode(&bytes)).transpose()?;
    Ok(row.filter(|row| row.last_day >= first_day))
}

/// Reads a pair with its last key and its latest tick: the last rows of each of its days, from the latest
/// day on. Days whose event times are all earlier than what was found are skipped.
pub(crate) fn stored(
    spaces: &Keyspaces,
    ticks: &DayIndex,
    first_day: Day,
    pair: &Pair,
) -> Result<Option<WarmPair>, StorageError> {
    let Some(row) = row(spaces, first_day, pair)? else {
        return Ok(None);
    };
    let mut found = WarmPair::new(row);
    let mut latest_ms = None;
    for (day, last_event_day) in ticks.last_event_days(row.first_day.max(first_day), row.last_day) {
        if latest_ms.is_some_and(|latest_ms| last_event_day < day::of(latest_ms)) {
            continue;
        }
        latest_ms = latest_ms.max(renew_from(spaces, day, &mut found)?);
    }
    Ok(Some(found))
}

/// Takes a pair's last rows of a day into account: up to the latest row that is not ahead of our clock, with
/// all rows of its millisecond, since keys do not have the order of ticks. Returns that row's event time.
fn renew_from(
    spaces: &Keyspaces,
    day: Day,
    pair: &mut WarmPair,
) -> Result<Option<i64>, StorageError> {
    let rows = spaces.ticks.prefix(tick::prefix(day, pair.row.number));
    let mut latest_ms = None;
    for guard in rows.rev().take(LATEST_ROWS_MAX) {
        let tick = tick::decode(&guard.value()?)?;
        if latest_ms.is_some_and(|latest_ms| tick.timestamp_ms < latest_ms) {
            break;
        }
        if tick.timestamp_ms <= tick.ingested_at_ms {
            latest_ms = Some(tick.timestamp_ms);
        }
        pair.renew(&Arc::new(tick));
    }
    Ok(latest_ms)
}
