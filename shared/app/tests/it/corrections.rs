//! Steps respect the store's limit for corrections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use app::analyse::{Analyser, AnalysisFeed, AnalysisUpdate};
use app::ports::{
    AnalysisCommit, AnalyticsStore, PortError, SequenceNumber, StoredState, StreamRecord,
};
use async_trait::async_trait;
use domain::Pair;
use domain::Tick;
use domain::analytics::{AnalysisConfig, Candle};
use testkit::analysis::MemoryAnalytics;
use testkit::ticks::{tick, ticks};

/// A store with a limit, which records the size of each step.
struct Limited {
    inner: MemoryAnalytics,
    corrections_max: usize,
    /// The largest number of corrections of a pair, per step.
    steps: Mutex<Vec<usize>>,
}

#[async_trait]
impl AnalyticsStore for Limited {
    fn corrections_per_pair_max(&self) -> usize {
        self.corrections_max
    }

    async fn load(&self, shard: u8, pairs: &[Pair]) -> Result<Vec<Option<StoredState>>, PortError> {
        self.inner.load(shard, pairs).await
    }

    async fn commit(
        &self,
        shard: u8,
        last: SequenceNumber,
        commit: AnalysisCommit,
    ) -> Result<Vec<Candle>, PortError> {
        let mut of_pairs: HashMap<_, usize> = HashMap::new();
        for correction in &commit.corrections {
            *of_pairs.entry(correction.token.clone()).or_default() += 1;
        }
        let most = of_pairs.into_values().max().unwrap_or_default();
        let newest = commit.states.iter().map(|it| it.stored.last_sequence);
        assert!(
            newest.max().is_none_or(|newest| newest <= last),
            "no state is ahead of the step"
        );
        let corrected = self.inner.commit(shard, last, commit).await?;
        self.steps.lock().unwrap().push(most);
        Ok(corrected)
    }
}

pub(crate) struct NoFeed;

#[async_trait]
impl AnalysisFeed for NoFeed {
    async fn publish(&self, _: AnalysisUpdate) {}
}

/// A new tick of each token, and then all the late ones.
fn late_ticks() -> Vec<StreamRecord> {
    let tokens = ["BTC", "ETH", "SOL"];
    let newest = tokens.map(|token| tick(token, 50_000));
    let all: Vec<Tick> = newest.into_iter().chain(ticks(&tokens, 100)).collect();
    let numbered = (1_u64..).zip(all);
    numbered
        .map(|(n, tick)| StreamRecord {
            sequence: n.into(),
            tick,
        })
        .collect()
}

async fn analyse(corrections_max: usize) -> Arc<Limited> {
    let store = Arc::new(Limited {
        inner: MemoryAnalytics::default(),
        corrections_max,
        steps: Mutex::default(),
    });
    let mut analyser = Analyser::new(
        0,
        store.clone(),
        Arc::new(NoFeed),
        AnalysisConfig::default(),
    );
    analyser.fold(&late_ticks()).await.unwrap();
    analyser.commit().await.unwrap();
    assert!(!analyser.is_dirty());
    store
}

fn without_revisions(store: &Limited) -> Vec<Candle> {
    let mut candles = store.inner.candles();
    // The number of revisions of a candle depends on the number of steps.
    for candle in &mut candles {
        candle.revision = 0;
        candle.quote_volume = (candle.quote_volume * 1e6).round() / 1e6;
    }
    candles
}

#[tokio::test]
async fn a_full_step_is_committed_early_with_the_same_results() {
    let [limited, unlimited] = [analyse(99).await, analyse(usize::MAX).await];
    let steps = limited.steps.lock().unwrap().clone();
    assert!(
        steps.len() > 3 && steps.iter().all(|most| *most <= 99),
        "{steps:?}"
    );
    assert_eq!(unlimited.steps.lock().unwrap().len(), 1);
    assert_eq!(without_revisions(&limited), without_revisions(&unlimited));
}

#[tokio::test]
async fn a_full_step_that_cannot_be_stored_is_an_error_and_is_dropped() {
    let store = Arc::new(Limited {
        inner: MemoryAnalytics::default(),
        corrections_max: 99,
        steps: Mutex::default(),
    });
    store.inner.fail_commits(1);
    let mut analyser = Analyser::new(
        0,
        store.clone(),
        Arc::new(NoFeed),
        AnalysisConfig::default(),
    );
    assert!(analyser.fold(&late_ticks()).await.is_err());
    assert!(!analyser.is_dirty());
    assert_eq!(store.inner.candles(), []);
    analyser.fold(&late_ticks()).await.unwrap();
    analyser.commit().await.unwrap();
    assert_eq!(
        without_revisions(&store),
        without_revisions(&*analyse(usize::MAX).await)
    );
}
