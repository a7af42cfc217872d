//! Computes averages, candles and anomalies from the stream.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use domain::analytics::{
    AnalysisConfig, Anomaly, Averages, Candle, Interval, PairState, Timeliness, Watch,
};

use lru::LruCache;

use crate::ports::{
    AnalysisCommit, AnalyticsStore, PortError, SequenceNumber, StateChange, StoredState,
    StreamRecord,
};
use domain::Pair;

/// The default for [`Analyser::keep_states`], in bytes: about 20,000 pairs with one venue.
const STATES_BYTES_MAX: usize = 340_000_000;

/// The results of an analysis step, for live subscribers.
#[derive(Debug, Clone, Default)]
pub struct AnalysisUpdate {
    /// Candles that changed, open ones too.
    pub candles: Vec<Candle>,
    /// The averages of pairs that had ticks.
    pub averages: Vec<Averages>,
    /// Anomalies found.
    pub anomalies: Vec<Anomaly>,
}

/// Publishes results to live subscribers. Best effort: the store has them.
#[async_trait]
pub trait AnalysisFeed: Send + Sync {
    /// Publishes an update.
    async fn publish(&self, update: AnalysisUpdate);
}

struct CachedPair {
    /// The last record in the state that the store holds.
    base: SequenceNumber,
    stored: StoredState,
    dirty: bool,
    /// The candles that the step changed.
    changed: BTreeSet<(Interval, i64)>,
}

/// The analysis of one shard. Records are folded in order and committed together. After a crash in
/// between, the fold is repeated from the stored states with the same results.
pub struct Analyser {
    shard: u8,
    store: Arc<dyn AnalyticsStore>,
    feed: Arc<dyn AnalysisFeed>,
    config: AnalysisConfig,
    cached: LruCache<Pair, CachedPair>,
    states_bytes_max: usize,
    dirty_pairs: u32,
    step: AnalysisCommit,
    last: Option<SequenceNumber>,
    committed: Option<SequenceNumber>,
    watch: Watch,
}

impl Analyser {
    /// An analysis of a shard that starts from the stored states.
    #[must_use]
    pub fn new(
        shard: u8,
        store: Arc<dyn AnalyticsStore>,
        feed: Arc<dyn AnalysisFeed>,
        config: AnalysisConfig,
    ) -> Self {
        let (cached, step) = (LruCache::unbounded(), AnalysisCommit::default());
        Self {
            shard,
            store,
            feed,
            config,
            cached,
            states_bytes_max: STATES_BYTES_MAX,
            dirty_pairs: 0,
            step,
            last: None,
            committed: None,
            watch: Watch::default(),
        }
    }

    /// Keeps states of at most so many bytes in memory between steps: those of the pairs with the most recent records.
    /// The states of others are loaded again. One of a pair with one venue has about 17 KB.
    #[must_use]
    pub fn keep_states(mut self, bytes_max: usize) -> Self {
        self.states_bytes_max = bytes_max;
        self
    }

    /// Whether there are results that are not committed yet.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.last.is_some()
    }

    /// Whether anomalies were found that are not committed yet.
    #[must_use]
    pub fn has_anomalies(&self) -> bool {
        !self.step.anomalies.is_empty()
    }

    /// How many pair states the next commit stores, about 12 KB each for busy pairs.
    #[must_use]
    pub fn dirty_pairs(&self) -> u32 {
        self.dirty_pairs
    }

    /// Folds records of the shard, in the order of the stream. A record that a stored state already
    /// includes is skipped, so a batch may be delivered twice.
    ///
    /// # Errors
    /// [`PortError`] if states cannot be loaded. Nothing was folded then.
    pub async fn fold(&mut self, records: &[StreamRecord]) -> Result<(), PortError> {
        self.load_states(records).await?;
        for record in records {
            let pair = Pair::of(&record.tick);
            self.last = Some(record.sequence);
            let Some(cached) = self.cached.get_mut(&pair) else {
                continue;
            };
            if record.sequence <= cached.stored.last_sequence {
                continue;
            }
            cached.stored.last_sequence = record.sequence;
            self.dirty_pairs += u32::from(!cached.dirty);
            cached.dirty = true;
            let effects = cached.stored.state.apply(&record.tick, &self.config);
            for interval in Interval::ALL {
                let start_ms = interval.start_of(record.tick.timestamp_ms);
                cached.changed.insert((interval, start_ms));
            }
            match effects.timeliness {
                Timeliness::InOrder => {}
                Timeliness::Late => self.step.late += 1,
                Timeliness::TooLate => self.step.too_late += 1,
            }
            self.step.candles.extend(effects.closed);
            self.step.corrections.extend(effects.corrections);
            self.step.anomalies.extend(effects.anomaly);
        }
        Ok(())
    }

    /// Notes that ticks of any feed, of this shard or another one, have just arrived in the stream. While they do so steadily,
    /// a feed that falls silent is reported within a second.
    pub fn add_arrival(&mut self, now_ms: i64) {
        self.watch.add_arrival(now_ms);
    }

    /// Judges the silence of the pairs in memory, at most some times a second. To be called about as often while the shard
    /// has no more records: feeds that are only behind are not silent.
    pub fn find_silences(&mut self, now_ms: i64) {
        self.watch.add(now_ms);
        let (Some(watched), Some(last)) = (self.watch.due(), self.last.or(self.committed)) else {
            return;
        };
        for (_, cached) in &mut self.cached {
            let found = cached.stored.state.silences(watched, &self.config);
            if found.is_empty() {
                continue;
            }
            self.step.anomalies.extend(found);
            self.dirty_pairs += u32::from(!cached.dirty);
            cached.dirty = true;
            self.last = Some(last);
        }
    }

    /// Passes over a record that cannot be processed.
    pub fn skip(&mut self, sequence: SequenceNumber) {
        self.last = self.last.max(Some(sequence));
    }

    async fn load_states(&mut self, records: &[StreamRecord]) -> Result<(), PortError> {
        let mut missing = HashSet::new();
        for record in records {
            let pair = Pair::of(&record.tick);
            if !self.cached.contains(&pair) {
                missing.insert(pair);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<Pair> = missing.into_iter().collect();
        let found = self.store.load(self.shard, &missing).await?;
        for (pair, stored) in missing.into_iter().zip(found) {
            let stored = stored.unwrap_or_else(|| StoredState {
                last_sequence: SequenceNumber::default(),
                state: PairState::new(pair.token.clone(), pair.quote.clone()),
            });
            self.cached.put(
                pair,
                CachedPair {
                    base: stored.last_sequence,
                    stored,
                    dirty: false,
                    changed: BTreeSet::new(),
                },
            );
        }
        Ok(())
    }

    /// Stores what was folded, then publishes it. Does nothing if nothing was folded since the last
    /// commit.
    ///
    /// # Errors
    /// [`PortError`] if the step cannot be stored. The analysis then drops the step and its states
    /// in memory, and the records since the shard's checkpoint must be folded again.
    pub async fn commit(&mut self) -> Result<(), PortError> {
        let Some(last) = self.last.take() else {
            return Ok(());
        };
        let mut step = std::mem::take(&mut self.step);
        let mut update = AnalysisUpdate {
            anomalies: step.anomalies.clone(),
            ..Default::default()
        };
        for (pair, cached) in self.cached.iter_mut().filter(|(_, cached)| cached.dirty) {
            step.states.push(StateChange {
                pair: pair.clone(),
                base: std::mem::replace(&mut cached.base, cached.stored.last_sequence),
                stored: cached.stored.clone(),
            });
            let changed = std::mem::take(&mut cached.changed);
            let is_changed =
                |candle: &&Candle| changed.contains(&(candle.interval, candle.start_ms));
            let open = cached.stored.state.open_candles();
            step.candles.extend(open.filter(is_changed).cloned());
            update.averages.extend(cached.stored.state.averages());
            cached.dirty = false;
        }
        update.candles.clone_from(&step.candles);
        self.dirty_pairs = 0;
        self.committed = Some(last);
        match self.store.commit(self.shard, last, step).await {
            Ok(corrected) => update.candles.extend(corrected),
            Err(error) => {
                self.cached.clear();
                return Err(error);
            }
        }
        self.forget_least_recent();
        self.feed.publish(update).await;
        Ok(())
    }

    /// Keeps the memory within its limit. Nothing is dirty after a commit.
    fn forget_least_recent(&mut self) {
        let of_state = |cached: &CachedPair| cached.stored.state.memory_bytes();
        let mut bytes: usize = self.cached.iter().map(|(_, cached)| of_state(cached)).sum();
        while bytes > self.states_bytes_max
            && let Some((_, forgotten)) = self.cached.pop_lru()
        {
            bytes -= of_state(&forgotten);
        }
    }
}
