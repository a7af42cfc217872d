//! Ten minutes of a pair's candles, with the ticks that are in them: what is stored at once where each write costs.

use std::collections::{BTreeMap, HashSet};

use super::ohlcv::Ohlcv;
use super::{Candle, Interval, Member};
use crate::{Pair, Tick};

mod compact;

pub use compact::CompactBlock;

/// How long a block is. With candles of one minute, the block of a pair that trades about once a minute fits into 1 KB.
const DURATION_MS: i64 = 600_000;

/// The candles of one pair and interval that start in ten minutes, and which ticks are in them.
///
/// It depends on the set of ticks alone, not on their order (except for the rounding of quote volumes): two blocks
/// with the same ticks are the same block.
#[derive(Debug, Clone, PartialEq)]
pub struct CandleBlock {
    interval: Interval,
    start_ms: i64,
    candles: BTreeMap<i64, Candle>,
    members: HashSet<Member>,
    pair: Pair,
}

/// Whether a tick changed a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is in the block now.
    New,
    /// It was in it before.
    Duplicate,
}

impl CandleBlock {
    /// The block without candles that starts at `start_ms`, which is a [`CandleBlock::start_of`].
    #[must_use]
    pub fn new(pair: Pair, interval: Interval, start_ms: i64) -> Self {
        Self {
            interval,
            start_ms,
            candles: BTreeMap::new(),
            members: HashSet::new(),
            pair,
        }
    }

    /// The start of the block of an event time, epoch milliseconds, for candles of at most ten minutes.
    #[must_use]
    pub fn start_of(timestamp_ms: i64) -> i64 {
        timestamp_ms.saturating_sub(timestamp_ms.rem_euclid(DURATION_MS))
    }

    /// The pair.
    #[must_use]
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// The first millisecond of it.
    #[must_use]
    pub fn start_ms(&self) -> i64 {
        self.start_ms
    }

    /// The first millisecond after it.
    #[must_use]
    pub fn end_ms(&self) -> i64 {
        self.start_ms.saturating_add(DURATION_MS)
    }

    /// The interval of its candles.
    #[must_use]
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// Adds a tick of its pair and time. `reissues` says that the tick's candle had ended, so that it is reissued with
    /// the next revision.
    pub fn add(&mut self, tick: &Tick, reissues: bool) -> Added {
        if !self.members.insert(Member::of(tick)) {
            return Added::Duplicate;
        }
        let start_ms = self.interval.start_of(tick.timestamp_ms);
        self.candles
            .entry(start_ms)
            .and_modify(|candle| {
                candle.add(tick, &Ohlcv::of(tick));
                candle.revision += u32::from(reissues);
            })
            .or_insert_with(|| Candle::of(tick, self.interval));
        Added::New
    }

    /// Whether a tick is in it.
    #[must_use]
    pub fn has(&self, tick: &Tick) -> bool {
        self.members.contains(&Member::of(tick))
    }

    /// The candle that starts at a time.
    #[must_use]
    pub fn candle(&self, start_ms: i64) -> Option<&Candle> {
        self.candles.get(&start_ms)
    }

    /// Its candles, in order of time.
    pub fn candles(&self) -> impl DoubleEndedIterator<Item = &Candle> {
        self.candles.values()
    }

    /// Sets the revision of each candle, by its start.
    pub fn set_revisions(&mut self, revision_of: impl Fn(i64) -> u32) {
        for (start_ms, candle) in &mut self.candles {
            candle.revision = revision_of(*start_ms);
        }
    }

    /// How many ticks are in it.
    #[must_use]
    pub fn ticks(&self) -> usize {
        self.members.len()
    }

    /// Adds members that were stored elsewhere. Their ticks are in its candles.
    pub fn add_members(&mut self, members: impl IntoIterator<Item = Member>) {
        self.members.extend(members);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{START_MS, tick};
    use super::*;

    /// Fifty ticks of 10 minutes, 11 s apart.
    fn ticks() -> Vec<Tick> {
        let made = (0..50_u32).map(|n| {
            let at_ms = CandleBlock::start_of(START_MS) + i64::from(n) * 11_000;
            tick(
                u128::from(n) + 1,
                at_ms,
                "5.25",
                (n % 3 == 0).then_some("2"),
            )
        });
        made.collect()
    }

    fn block(interval: Interval) -> CandleBlock {
        let start_ms = CandleBlock::start_of(START_MS);
        CandleBlock::new(Pair::of(&ticks()[0]), interval, start_ms)
    }

    #[test]
    fn a_tick_counts_once_and_a_late_one_reissues_its_candle() {
        let mut block = block(Interval::OneMinute);
        let made = ticks();
        for tick in &made {
            assert_eq!(block.add(tick, false), Added::New);
            assert_eq!(block.add(tick, true), Added::Duplicate);
            assert!(block.has(tick));
        }
        let count: u64 = block.candles().map(Candle::tick_count).sum();
        assert_eq!(count, made.len() as u64);
        assert!(block.candles().all(|candle| candle.revision == 0));
        let late = Tick {
            timestamp_ms: made[0].timestamp_ms + 1,
            ..made[0].clone()
        };
        assert_eq!(block.add(&late, true), Added::New);
        assert_eq!(block.candles().next().map(|it| it.revision), Some(1));
    }

    #[test]
    fn blocks_start_on_multiples_of_ten_minutes() {
        assert_eq!(CandleBlock::start_of(0), 0);
        assert_eq!(CandleBlock::start_of(599_999), 0);
        assert_eq!(CandleBlock::start_of(-1), -600_000);
        let block = block(Interval::OneMinute);
        assert_eq!(block.end_ms() - block.start_ms(), 600_000);
    }
}
