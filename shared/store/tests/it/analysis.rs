//! Candles and states of the analysis in the store.

use std::sync::Arc;

use app::analyse::{Analyser, AnalysisFeed, AnalysisUpdate};
use app::ports::{SequenceNumber, TickStore, TickStream};
use async_trait::async_trait;
use domain::analytics::{AnalysisConfig, Candle, Interval, Ohlcv, SeriesKind};
use store::{AnalysisCounters, EmbeddedStore, SHARDS, TickRange};
use tempfile::TempDir;
use testkit::ticks::{in_cohort, tick, ticks};

use crate::{open, refs};

const EVERYTHING: TickRange = TickRange {
    from_ms: 0,
    to_ms: i64::MAX,
    limit: 10_000,
};

struct Nobody;

#[async_trait]
impl AnalysisFeed for Nobody {
    async fn publish(&self, _update: AnalysisUpdate) {}
}

pub(crate) async fn analyse(store: &EmbeddedStore, batch: usize) {
    for shard in 0..SHARDS {
        let mut analyser = Analyser::new(
            shard,
            Arc::new(store.clone()),
            Arc::new(Nobody),
            AnalysisConfig::default(),
        );
        loop {
            let after = store.checkpoint("analytics", shard).unwrap();
            let records = store.read_stream(shard, after, batch).await.unwrap();
            if records.is_empty() {
                break;
            }
            analyser.fold(&records).await.unwrap();
            analyser.commit().await.unwrap();
        }
    }
}

#[tokio::test]
async fn candles_do_not_depend_on_batches_or_crashes() {
    let late = |n| {
        let mut tick = tick("BTC", n);
        tick.timestamp_ms -= 200_000;
        tick.tick_id = domain::TickId::derive("late", &[&n.to_string()]);
        tick
    };
    let mut made = ticks(&["BTC", "ETH"], 300);
    made.extend([late(250), late(251), late(299)]);

    let mut answers = Vec::new();
    for batch in [1, 1_000] {
        let folder = TempDir::new().unwrap();
        let store = open(&folder);
        for chunk in made.chunks(50) {
            store.append(&refs(chunk), None).await.unwrap();
            // The pair must be known before its analysis is stored.
            store.put(&in_cohort(chunk)).await.unwrap();
        }
        // A crash between fold and commit loses the fold.
        for shard in 0..SHARDS {
            let mut lost = Analyser::new(
                shard,
                Arc::new(store.clone()),
                Arc::new(Nobody),
                AnalysisConfig::default(),
            );
            let records = store
                .read_stream(shard, SequenceNumber::START, 100)
                .await
                .unwrap();
            lost.fold(&records).await.unwrap();
        }
        analyse(&store, batch).await;
        let mut candles = Vec::new();
        for token in ["BTC", "ETH"] {
            for interval in Interval::ALL {
                let found = store
                    .candles(token, None, interval, EVERYTHING)
                    .await
                    .unwrap()
                    .unwrap();
                let trades: u64 = found.iter().map(|candle| candle.tick_count()).sum();
                assert_eq!(
                    trades,
                    if token == "BTC" { 303 } else { 300 },
                    "{token} {interval}: late ticks count"
                );
                candles.extend(found);
            }
        }
        let counted = AnalysisCounters {
            too_late: 3,
            ..AnalysisCounters::default()
        };
        assert_eq!(store.analysis_counters(), counted);
        answers.push(candles);
    }
    let [ones, thousands] = answers.as_slice() else {
        panic!()
    };
    for (one, other) in ones.iter().zip(thousands) {
        let of_trades = |it: &Candle| {
            let values = it.of_kind(SeriesKind::Trades).unwrap();
            Ohlcv {
                quote_volume: 0.0,
                ..values
            }
        };
        assert_eq!(of_trades(one), of_trades(other));
        assert_eq!(one.start_ms, other.start_ms);
        assert_eq!(one.revision > 0, other.revision > 0);
    }
    assert!(
        ones.iter().any(|candle| candle.revision > 0),
        "a late tick causes a revision of its candle"
    );
}

/// A damaged state, and one of an unknown version, stop neither their pairs nor their shard.
#[tokio::test]
async fn a_state_that_cannot_be_read_is_replaced_and_the_others_go_on() {
    let folder = TempDir::new().unwrap();
    let tokens = ["BTC", "ETH", "SOL", "JUP", "WIF", "USDC"];
    let store = open(&folder);
    let made = ticks(&tokens, 120);
    let (before, after) = made.split_at(made.len() / 2);
    store.put(&in_cohort(before)).await.unwrap();
    store.append(&refs(before), None).await.unwrap();
    analyse(&store, 50).await;
    store.close();

    let db = fjall::Database::builder(folder.path().join("store"))
        .open()
        .unwrap();
    let states = db.keyspace("states", Default::default).unwrap();
    let keys: Vec<_> = states.iter().map(|guard| guard.key().unwrap()).collect();
    assert_eq!(keys.len(), tokens.len());
    states
        .insert(keys[0].clone(), b"\xc2 nothing that anybody wrote")
        .unwrap();
    states
        .insert(keys[1].clone(), b"\x00\x00\x09 of a later version")
        .unwrap();
    db.persist(fjall::PersistMode::SyncAll).unwrap();
    drop((states, db));

    let store = open(&folder);
    assert!(store.averages(tokens[0], None).await.is_ok());
    store.put(&in_cohort(after)).await.unwrap();
    store.append(&refs(after), None).await.unwrap();
    analyse(&store, 50).await;
    assert_eq!(store.analysis_counters().states_resumed, 2);
    for token in tokens {
        for interval in Interval::ALL {
            let candles = store.candles(token, None, interval, EVERYTHING).await;
            let candles = candles.unwrap().unwrap();
            let ticks: u64 = candles.iter().map(|candle| candle.tick_count()).sum();
            assert_eq!(ticks, 120, "{token} {interval}: every tick counts once");
        }
    }
}
