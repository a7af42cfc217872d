//! Those who watch live: every tick goes in, the latest of each pair comes out a few times a
//! second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use domain::Tick;
use domain::analytics::{Anomaly, Averages, Candle, Interval};

use crate::analyse::{AnalysisFeed, AnalysisUpdate};
use domain::Pair;

/// What was new in one turn.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The latest tick of each pair that had one.
    pub ticks: Vec<Tick>,
    /// How many ticks stand behind them.
    pub ticks_seen: u64,
    /// Candles as they stand now.
    pub candles: Vec<Candle>,
    /// Averages as they stand now.
    pub averages: Vec<Averages>,
    /// Anomalies found.
    pub anomalies: Vec<Anomaly>,
}

impl Frame {
    fn is_empty(&self) -> bool {
        self.ticks.is_empty()
            && self.candles.is_empty()
            && self.averages.is_empty()
            && self.anomalies.is_empty()
    }
}

#[derive(Default)]
struct Turn {
    ticks: HashMap<Pair, Tick>,
    ticks_seen: u64,
    candles: HashMap<(Pair, Interval, i64), Candle>,
    averages: HashMap<Pair, Averages>,
    anomalies: Vec<Anomaly>,
}

/// Gathers what is new, and keeps of each pair, candle and average the latest only: however fast
/// ticks come, a turn is no larger than the number of pairs.
#[derive(Default)]
pub struct Coalescer {
    turn: Mutex<Turn>,
    readers: AtomicUsize,
}

/// A reader; while there is none, nothing is gathered.
pub struct Reader<'a>(&'a Coalescer);

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Coalescer {
    /// Counts a reader for as long as the answer is held.
    pub fn reader(&self) -> Reader<'_> {
        self.readers.fetch_add(1, Ordering::Relaxed);
        Reader(self)
    }

    /// How many readers there are.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    /// Takes ticks.
    pub fn take(&self, ticks: Vec<Tick>) {
        if self.readers() == 0 {
            return;
        }
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.ticks_seen += ticks.len() as u64;
        for tick in ticks {
            let pair = Pair::of(&tick);
            let moment = |tick: &Tick| (tick.timestamp_ms, tick.tick_id);
            if turn
                .ticks
                .get(&pair)
                .is_none_or(|held| moment(held) <= moment(&tick))
            {
                turn.ticks.insert(pair, tick);
            }
        }
    }

    /// Ends the turn: what was new since the last one, if anything was.
    pub fn turn_over(&self) -> Option<Frame> {
        let turn = std::mem::take(&mut *self.turn.lock().unwrap_or_else(PoisonError::into_inner));
        let frame = Frame {
            ticks: turn.ticks.into_values().collect(),
            ticks_seen: turn.ticks_seen,
            candles: turn.candles.into_values().collect(),
            averages: turn.averages.into_values().collect(),
            anomalies: turn.anomalies,
        };
        (!frame.is_empty()).then_some(frame)
    }
}

#[async_trait]
impl AnalysisFeed for Coalescer {
    async fn publish(&self, update: AnalysisUpdate) {
        if self.readers() == 0 {
            return;
        }
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for candle in update.candles {
            let key = (candle.pair(), candle.interval, candle.start_ms);
            turn.candles.insert(key, candle);
        }
        for averages in update.averages {
            turn.averages.insert(averages.pair(), averages);
        }
        turn.anomalies.extend(update.anomalies);
    }
}
