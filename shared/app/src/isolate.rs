//! Analyses records of which one may make the analysis fail: that one is set aside, and the others are analysed.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::Pair;
use domain::analytics::{AnalysisConfig, Candle};
use futures_util::FutureExt as _;

use crate::analyse::{Analyser, AnalysisFeed};
use crate::bisect::{Attempt, Failed, Suspect, bisect};
use crate::poison;
use crate::ports::{
    AnalysisCommit, AnalyticsStore, Clock, PortError, Quarantined, SequenceNumber, StoredState,
    StreamRecord,
};

/// The analysis, as the origin of entries in the quarantine.
const CONSUMER: &str = "analytics";

/// A store of the analysis that has the quarantine, too.
#[async_trait]
pub trait SettingAside: AnalyticsStore {
    /// Stores a step like [`AnalyticsStore::commit`] and quarantines ticks that were set aside, both or neither.
    async fn commit_setting_aside(
        &self,
        shard: u8,
        last: SequenceNumber,
        commit: AnalysisCommit,
        set_aside: Vec<Quarantined>,
    ) -> Result<Vec<Candle>, PortError>;
}

/// The analysis of one shard after a failure, from the stored states.
pub struct Isolation {
    /// The shard.
    pub shard: u8,
    /// The states and the quarantine.
    pub store: Arc<dyn SettingAside>,
    /// Gets the results.
    pub feed: Arc<dyn AnalysisFeed>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The configuration of the analysis.
    pub config: AnalysisConfig,
}

impl Isolation {
    /// Analyses the next records of the shard and commits. Returns how many were set aside.
    ///
    /// # Errors
    /// Those of [`bisect`]: [`Failed::Transient`] if the store refuses, [`Failed::Suspected`] if no record can be
    /// analysed. The records since the shard's checkpoint must then be analysed again.
    pub async fn analyse(&self, records: &[StreamRecord]) -> Result<u64, Failed> {
        bisect(records, &[], &mut Step(self)).await
    }
}

struct Step<'a>(&'a Isolation);

#[async_trait]
impl Attempt<StreamRecord> for Step<'_> {
    async fn process(
        &mut self,
        records: &[StreamRecord],
        suspects: &Arc<Vec<Suspect<StreamRecord>>>,
    ) -> Result<(), Failed> {
        let Self(isolation) = self;
        let Isolation { shard, store, .. } = isolation;
        let together = Together {
            store: Arc::clone(store),
            suspects: Mutex::new(Arc::clone(suspects)),
            clock: Arc::clone(&isolation.clock),
        };
        let step = async {
            if let ([], Some(last)) = (records, suspects.last()) {
                let nothing = AnalysisCommit::default();
                let last = last.record.sequence;
                return together.commit(*shard, last, nothing).await.map(|_| ());
            }
            // The states in memory of a failed attempt are not used again.
            let feed = Arc::clone(&isolation.feed);
            let mut analyser =
                Analyser::new(*shard, Arc::new(together), feed, isolation.config.clone());
            analyser.fold(records).await?;
            analyser.commit().await
        };
        match AssertUnwindSafe(step).catch_unwind().await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.retryable => Err(Failed::Transient(error.into())),
            Ok(Err(error)) => Err(Failed::Suspected(error.into())),
            Err(payload) => Err(Failed::panicked(payload.as_ref())),
        }
    }
}

/// Sets suspects aside in the next commit.
struct Together {
    store: Arc<dyn SettingAside>,
    suspects: Mutex<Arc<Vec<Suspect<StreamRecord>>>>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl AnalyticsStore for Together {
    async fn load(&self, shard: u8, pairs: &[Pair]) -> Result<Vec<Option<StoredState>>, PortError> {
        self.store.load(shard, pairs).await
    }

    async fn commit(
        &self,
        shard: u8,
        last: SequenceNumber,
        commit: AnalysisCommit,
    ) -> Result<Vec<Candle>, PortError> {
        let suspects = {
            let mut waiting = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        let now_ms = self.clock.now_ms();
        let set_aside = suspects
            .iter()
            .map(|suspect| poison::unprocessable(CONSUMER, shard, suspect, now_ms))
            .collect();
        self.store
            .commit_setting_aside(shard, last, commit, set_aside)
            .await
    }
}
