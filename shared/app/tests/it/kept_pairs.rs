//! The states of the pairs with the most recent records stay in memory.

use std::sync::{Arc, Mutex};

use app::analyse::{Analyser, AnalysisFeed, AnalysisUpdate};
use app::ports::{
    AnalysisCommit, AnalyticsStore, PortError, SequenceNumber, StoredState, StreamRecord,
};
use async_trait::async_trait;
use domain::Pair;
use domain::analytics::{AnalysisConfig, Candle};
use testkit::analysis::MemoryAnalytics;
use testkit::ticks::tick;

struct NoFeed;

#[async_trait]
impl AnalysisFeed for NoFeed {
    async fn publish(&self, _: AnalysisUpdate) {}
}

/// A store that records which tokens' states are loaded.
#[derive(Default)]
struct Loads {
    inner: MemoryAnalytics,
    loaded: Mutex<Vec<String>>,
}

#[async_trait]
impl AnalyticsStore for Loads {
    async fn load(&self, shard: u8, pairs: &[Pair]) -> Result<Vec<Option<StoredState>>, PortError> {
        let tokens = pairs.iter().map(|pair| pair.token.as_str().to_owned());
        self.loaded.lock().unwrap().extend(tokens);
        self.inner.load(shard, pairs).await
    }

    async fn commit(
        &self,
        shard: u8,
        last: SequenceNumber,
        commit: AnalysisCommit,
    ) -> Result<Vec<Candle>, PortError> {
        self.inner.commit(shard, last, commit).await
    }
}

#[tokio::test]
async fn the_least_recent_pairs_are_forgotten_and_the_busy_one_is_not() {
    let store = Arc::new(Loads::default());
    let config = AnalysisConfig::default();
    let to: Arc<dyn AnalyticsStore> = Arc::clone(&store) as _;
    let mut analyser = Analyser::new(0, to, Arc::new(NoFeed), config).keep_states(60_000);
    let mut sequence = 0;
    for step in 0..10 {
        let records: Vec<_> = ["BUSY".to_owned(), format!("NEW{step}")]
            .iter()
            .map(|token| {
                sequence += 1;
                StreamRecord {
                    sequence: SequenceNumber::from(sequence),
                    tick: tick(token, u32::try_from(sequence).unwrap()),
                }
            })
            .collect();
        analyser.fold(&records).await.unwrap();
        analyser.commit().await.unwrap();
    }
    let loads = |token: &str| {
        let loaded = store.loaded.lock().unwrap();
        loaded.iter().filter(|loaded| *loaded == token).count()
    };
    assert_eq!(loads("BUSY"), 1);
    // The first new one was forgotten, and is read back.
    let record = StreamRecord {
        sequence: SequenceNumber::from(sequence + 1),
        tick: tick("NEW0", 100),
    };
    analyser.fold(&[record]).await.unwrap();
    assert_eq!(loads("NEW0"), 2);
    assert_eq!(loads("BUSY"), 1);
}
