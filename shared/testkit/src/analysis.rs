//! An in-memory analytics store. Like any store, it only lets a state be replaced by a step that
//! started from it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use app::ports::{AnalysisCommit, AnalyticsStore, PortError, SequenceNumber, StoredState};
use async_trait::async_trait;
use domain::Pair;
use domain::analytics::{Anomaly, Candle, Interval};

type CandleKey = (Pair, Interval, i64);

/// An analytics store in memory.
#[derive(Default)]
pub struct MemoryAnalytics {
    held: Mutex<Held>,
    failures: AtomicU32,
}

#[derive(Default)]
struct Held {
    states: HashMap<Pair, StoredState>,
    candles: HashMap<CandleKey, Candle>,
    anomalies: Vec<Anomaly>,
    commits: u32,
}

impl MemoryAnalytics {
    /// Makes the next commits fail without effect.
    pub fn fail_commits(&self, count: u32) {
        self.failures.store(count, Ordering::Relaxed);
    }

    /// All candles, sorted by pair, interval and start.
    #[must_use]
    pub fn candles(&self) -> Vec<Candle> {
        let held = self.lock();
        let mut candles: Vec<Candle> = held.candles.values().cloned().collect();
        candles.sort_by(|one, other| {
            let key = |candle: &Candle| {
                let name = candle.interval.as_str();
                (
                    candle.token.clone(),
                    candle.quote.clone(),
                    name,
                    candle.start_ms,
                )
            };
            key(one).cmp(&key(other))
        });
        candles
    }

    /// How many anomalies were stored.
    #[must_use]
    pub fn anomalies(&self) -> usize {
        self.lock().anomalies.len()
    }

    /// How many steps were stored.
    #[must_use]
    pub fn commits(&self) -> u32 {
        self.lock().commits
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(candle: &Candle) -> CandleKey {
    (candle.pair(), candle.interval, candle.start_ms)
}

fn failure(source: &str) -> PortError {
    PortError {
        operation: "commit the analysis",
        retryable: true,
        source: source.into(),
    }
}

#[async_trait]
impl AnalyticsStore for MemoryAnalytics {
    async fn load(
        &self,
        _shard: u8,
        pairs: &[Pair],
    ) -> Result<Vec<Option<StoredState>>, PortError> {
        let held = self.lock();
        Ok(pairs
            .iter()
            .map(|pair| held.states.get(pair).cloned())
            .collect())
    }

    async fn commit(
        &self,
        _shard: u8,
        _last: SequenceNumber,
        commit: AnalysisCommit,
    ) -> Result<Vec<Candle>, PortError> {
        let left = self.failures.load(Ordering::Relaxed);
        if left > 0 {
            self.failures.store(left - 1, Ordering::Relaxed);
            return Err(failure("a fault of the test"));
        }
        let mut held = self.lock();
        let moved_on = commit.states.iter().any(|change| {
            let now = held.states.get(&change.pair);
            now.map(|stored| stored.last_sequence).unwrap_or_default() != change.base
        });
        if moved_on {
            return Err(failure("the state was stored by somebody else in between"));
        }
        held.commits += 1;
        for change in commit.states {
            held.states.insert(change.pair, change.stored);
        }
        for candle in commit.candles {
            held.candles.insert(key(&candle), candle);
        }
        let mut corrections: HashMap<CandleKey, Candle> = HashMap::new();
        for part in commit.corrections {
            match corrections.entry(key(&part)) {
                Entry::Vacant(place) => {
                    place.insert(part);
                }
                Entry::Occupied(mut known) => known.get_mut().merge(&part),
            }
        }
        let mut changed = Vec::new();
        for (at, part) in corrections {
            let whole = match held.candles.remove(&at) {
                Some(mut whole) => {
                    whole.merge(&part);
                    whole.revision += 1;
                    whole
                }
                None => part,
            };
            changed.push(whole.clone());
            held.candles.insert(at, whole);
        }
        held.anomalies.extend(commit.anomalies);
        Ok(changed)
    }
}
