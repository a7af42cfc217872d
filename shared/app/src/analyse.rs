//! The stream becomes averages, candles and anomalies.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use domain::analytics::{Anomaly, Averages, Candle, Interval, Outcome, PairState, Rules};

use crate::ports::{
    AnalysisCommit, AnalyticsStore, PortError, SequenceNumber, StateChange, StoredState,
    StreamRecord,
};
use domain::Pair;

/// Most pairs whose state a shard keeps in memory; beyond, all are read from the store again.
const WARM_PAIRS_MAX: usize = 20_000;

/// What an analysis step tells those who watch live.
#[derive(Debug, Clone, Default)]
pub struct AnalysisUpdate {
    /// Candles that changed, open ones too.
    pub candles: Vec<Candle>,
    /// The averages of pairs that had ticks.
    pub averages: Vec<Averages>,
    /// Anomalies found.
    pub anomalies: Vec<Anomaly>,
}

/// Tells the results to those who watch live. Best effort: the store has them.
#[async_trait]
pub trait AnalysisFeed: Send + Sync {
    /// Tells an update.
    async fn publish(&self, update: AnalysisUpdate);
}

struct Warm {
    /// The last record in the state that the store holds.
    base: SequenceNumber,
    stored: StoredState,
    dirty: bool,
    /// How many corrections of the pair the step holds.
    corrections: usize,
}

/// The analysis of one shard. Records are folded in order, and committed together: a crash in
/// between repeats the fold from the stored states, and gives the same results.
pub struct Analyser {
    shard: u8,
    store: Arc<dyn AnalyticsStore>,
    feed: Arc<dyn AnalysisFeed>,
    rules: Rules,
    warm: HashMap<Pair, Warm>,
    dirty_pairs: u32,
    step: AnalysisCommit,
    last: Option<SequenceNumber>,
}

impl Analyser {
    /// An analysis of a shard, from what the store holds.
    #[must_use]
    pub fn new(
        shard: u8,
        store: Arc<dyn AnalyticsStore>,
        feed: Arc<dyn AnalysisFeed>,
        rules: Rules,
    ) -> Self {
        let (warm, step) = (HashMap::new(), AnalysisCommit::default());
        Self {
            shard,
            store,
            feed,
            rules,
            warm,
            dirty_pairs: 0,
            step,
            last: None,
        }
    }

    /// Whether records were folded that are not committed.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.last.is_some()
    }

    /// Pairs whose state the next commit stores, about 10 KB each when they are busy.
    #[must_use]
    pub fn dirty_pairs(&self) -> u32 {
        self.dirty_pairs
    }

    /// Folds records of the shard, in the order of the stream. A record that a stored state
    /// holds already is passed over, so that a batch may come twice. Where the store limits the
    /// corrections of a step, a step that is full is committed on the way.
    ///
    /// # Errors
    /// [`PortError`] where states cannot be loaded, and nothing was folded then; or where a full
    /// step cannot be stored, as told by [`Analyser::commit`].
    pub async fn fold(&mut self, records: &[StreamRecord]) -> Result<(), PortError> {
        self.warm_up(records).await?;
        let corrections_max = self.store.corrections_per_pair_max();
        for record in records {
            let pair = Pair::of(&record.tick);
            let is_full = |warm: &Warm| warm.corrections + Interval::ALL.len() > corrections_max;
            if self.warm.get(&pair).is_some_and(is_full) {
                self.commit().await?;
            }
            self.last = Some(record.sequence);
            let Some(warm) = self.warm.get_mut(&pair) else {
                continue;
            };
            if record.sequence <= warm.stored.last_sequence {
                continue;
            }
            let effects = warm.stored.state.apply(&record.tick, &self.rules);
            warm.stored.last_sequence = record.sequence;
            self.dirty_pairs += u32::from(!warm.dirty);
            warm.dirty = true;
            match effects.outcome {
                Outcome::Fresh => {}
                Outcome::Late => self.step.late += 1,
                Outcome::TooLate => self.step.too_late += 1,
                Outcome::Duplicate => self.step.duplicates += 1,
            }
            warm.corrections += effects.corrections.len();
            self.step.candles.extend(effects.closed);
            self.step.corrections.extend(effects.corrections);
            self.step.anomalies.extend(effects.anomaly);
        }
        Ok(())
    }

    async fn warm_up(&mut self, records: &[StreamRecord]) -> Result<(), PortError> {
        if self.last.is_none() && self.warm.len() > WARM_PAIRS_MAX {
            self.warm.clear();
        }
        let mut missing = HashSet::new();
        for record in records {
            let pair = Pair::of(&record.tick);
            if !self.warm.contains_key(&pair) {
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
            self.warm.insert(
                pair,
                Warm {
                    base: stored.last_sequence,
                    stored,
                    dirty: false,
                    corrections: 0,
                },
            );
        }
        Ok(())
    }

    /// Stores what was folded, then tells it. Without a fold since the last commit it does
    /// nothing.
    ///
    /// # Errors
    /// [`PortError`] where the step cannot be stored: the analysis then forgets it and what it
    /// holds in memory, and the records since the shard's checkpoint must be folded again.
    pub async fn commit(&mut self) -> Result<(), PortError> {
        let Some(last) = self.last.take() else {
            return Ok(());
        };
        let mut step = std::mem::take(&mut self.step);
        let mut update = AnalysisUpdate {
            anomalies: step.anomalies.clone(),
            ..Default::default()
        };
        for (pair, warm) in self.warm.iter_mut().filter(|(_, warm)| warm.dirty) {
            step.states.push(StateChange {
                pair: pair.clone(),
                base: std::mem::replace(&mut warm.base, warm.stored.last_sequence),
                stored: warm.stored.clone(),
            });
            step.candles
                .extend(warm.stored.state.open_candles().cloned());
            update.averages.push(warm.stored.state.averages());
            warm.dirty = false;
            warm.corrections = 0;
        }
        update.candles.clone_from(&step.candles);
        self.dirty_pairs = 0;
        match self.store.commit(self.shard, last, step).await {
            Ok(corrected) => update.candles.extend(corrected),
            Err(error) => {
                self.warm.clear();
                return Err(error);
            }
        }
        self.feed.publish(update).await;
        Ok(())
    }
}
