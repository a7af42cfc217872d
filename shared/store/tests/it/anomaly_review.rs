//! What people say about anomalies is kept.

use app::ports::{AnalysisCommit, AnalyticsStore as _, SequenceNumber, TickStore as _};
use domain::Pair;
use domain::analytics::Anomaly;
use domain::detection::AnomalyKind;
use store::{AnomalyPlace, EmbeddedStore, KindReview, Mute, SaidBy};
use tempfile::TempDir;
use testkit::anomalies::jump_at;
use testkit::ticks::{START_MS, in_cohort, tick};

use crate::open;

fn place(anomaly: &Anomaly) -> AnomalyPlace {
    AnomalyPlace {
        pair: anomaly.pair(),
        timestamp_ms: anomaly.timestamp_ms,
        tick_id: anomaly.tick_id,
    }
}

fn said() -> SaidBy {
    SaidBy {
        who: "ada".to_owned(),
        at_ms: START_MS,
    }
}

/// A store with two jumps and a silence, newest first.
async fn found(store: &EmbeddedStore) -> Vec<Anomaly> {
    let ticks = [1, 2, 3].map(|n| tick("BTC", n));
    store.put(&in_cohort(&ticks)).await.unwrap();
    let mut anomalies: Vec<Anomaly> = ticks.iter().map(jump_at).collect();
    let last = anomalies.last_mut().unwrap();
    last.detection.kind = AnomalyKind::Silence;
    let step = AnalysisCommit {
        anomalies,
        ..AnalysisCommit::default()
    };
    store
        .commit(0, SequenceNumber::from(3), step)
        .await
        .unwrap();
    store.anomalies(None, 10).await.unwrap()
}

#[tokio::test]
async fn a_false_alarm_is_kept_and_counted() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let anomalies = found(&store).await;
    let [silence, second, first] = &anomalies[..] else {
        panic!("{anomalies:?}");
    };
    assert!(
        store
            .mark_anomaly(place(first), Some(said()))
            .await
            .unwrap()
    );
    assert!(
        store
            .mark_anomaly(place(silence), Some(said()))
            .await
            .unwrap()
    );
    // Taken back.
    assert!(store.mark_anomaly(place(silence), None).await.unwrap());
    // Another pair has no such anomaly.
    let other = AnomalyPlace {
        pair: Pair::of(&tick("ETH", 1)),
        ..place(second)
    };
    assert!(!store.mark_anomaly(other, Some(said())).await.unwrap());
    store.close();

    let store = open(&folder);
    let marks = store.false_alarms(&anomalies).await.unwrap();
    assert_eq!(marks, [None, None, Some(said())]);
    let review = |kind, found, false_alarms| KindReview {
        kind,
        found,
        false_alarms,
    };
    assert_eq!(
        store.anomaly_review().await.unwrap(),
        [
            review(AnomalyKind::Jump, 2, 1),
            review(AnomalyKind::Silence, 1, 0)
        ]
    );
}

#[tokio::test]
async fn a_pair_is_muted_until_its_time_or_until_somebody_ends_it() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let [btc, eth] = ["BTC", "ETH"].map(|token| Pair::of(&tick(token, 1)));
    let mute = |until_ms| Mute {
        until_ms,
        by: said(),
    };
    store
        .mute_pair(btc.clone(), Some(mute(None)))
        .await
        .unwrap();
    let until_ms = START_MS + 1_000;
    store
        .mute_pair(eth.clone(), Some(mute(Some(until_ms))))
        .await
        .unwrap();
    let muted = async |now_ms| {
        let muted = store.muted_pairs(now_ms).await.unwrap();
        muted.into_iter().map(|(pair, _)| pair).collect::<Vec<_>>()
    };
    assert_eq!(muted(START_MS).await, [btc.clone(), eth]);
    assert_eq!(muted(until_ms).await, std::slice::from_ref(&btc));
    store.mute_pair(btc, None).await.unwrap();
    assert_eq!(muted(until_ms).await, []);
}
