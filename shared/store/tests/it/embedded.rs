//! The embedded store through its ports, across restarts.

use std::sync::Arc;

use app::ports::{
    CohortTick, PutOutcome, Quarantine, Quarantined, RolloutFlag, RolloutStore, SequenceNumber,
    TickStore, TickStream,
};
use archive::Archive;
use domain::{Malformed, Reason, Rollout, RolloutChange, RolloutKey, Tick};
use store::{Archiver, EmbeddedConfig, EmbeddedStore, SHARDS, TickRange};
use tempfile::TempDir;
use testkit::contract;
use testkit::ticks::{START_MS, in_cohort, tick, ticks};

use crate::{open, refs, whole_stream};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

const EVERYTHING: TickRange = TickRange {
    from_ms: 0,
    to_ms: i64::MAX,
    limit: 10_000,
};

#[tokio::test]
async fn the_ports_keep_their_contracts() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    contract::tick_store(&store).await;
    contract::tick_stream(&store).await;
    // The analysis only knows pairs with stored ticks.
    let known = contract::ANALYTICS_TOKENS.map(|token| tick(token, 0));
    store.put(&in_cohort(&known)).await.unwrap();
    contract::analytics_store(&store, false).await;
}

#[tokio::test]
async fn stored_ticks_are_readable_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let made = ticks(&["BTC", "ETH"], 50);
    for orderly in [false, true] {
        let store = open(&folder);
        store.put(&in_cohort(&made)).await.unwrap();
        assert_eq!(
            store.committed_ledger().await.unwrap().stored_rows,
            100,
            "the second time all are duplicates"
        );
        assert_eq!(
            store
                .ticks("BTC", None, EVERYTHING)
                .await
                .unwrap()
                .unwrap()
                .len(),
            50
        );
        assert_eq!(
            *store.latest_tick("ETH", None).await.unwrap().unwrap(),
            tick("ETH", 49)
        );
        let all = store.latest_page(None, 10).await.unwrap();
        assert_eq!((all.0.len(), all.1), (2, None));
        assert_eq!(store.recent_ticks(10).len(), 2);
        if orderly {
            store.close();
        }
    }
    let store = open(&folder);
    assert_eq!(
        *store.latest_tick("ETH", None).await.unwrap().unwrap(),
        tick("ETH", 49)
    );
    store.put(&in_cohort([&tick("ETH", 60)])).await.unwrap();
    drop(store);
    assert_eq!(
        *open(&folder)
            .latest_tick("ETH", None)
            .await
            .unwrap()
            .unwrap(),
        tick("ETH", 60)
    );
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let folder = TempDir::new().unwrap();
    let _first = open(&folder);
    let second = EmbeddedStore::open(&EmbeddedConfig::new(folder.path().join("store")));
    assert!(second.is_err_and(|error| error.to_string().contains("in use")));
}

#[tokio::test]
async fn ticks_are_read_by_time_across_all_quotes() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let mut other = tick("BTC", 5);
    other.quote = domain::Token::new("EUR").unwrap();
    store.put(&in_cohort(&ticks(&["BTC"], 10))).await.unwrap();
    store.put(&in_cohort([&other])).await.unwrap();
    let read = |from, to, limit| {
        let range = TickRange {
            from_ms: START_MS + from,
            to_ms: START_MS + to,
            limit,
        };
        let store = store.clone();
        async move { store.ticks("BTC", None, range).await.unwrap().unwrap() }
    };
    assert_eq!(read(0, 10_000, 100).await.len(), 11);
    assert_eq!(
        read(5_000, 6_000, 100).await.len(),
        2,
        "both quotes at the same moment"
    );
    let last = read(0, 10_000, 3).await;
    let times: Vec<_> = last
        .iter()
        .map(|tick| (tick.timestamp_ms - START_MS) / 1_000)
        .collect();
    assert_eq!(times, [7, 8, 9], "the latest ones, in ascending order");
    assert!(read(3_000, 3_000, 100).await.is_empty());
    let one = TickRange {
        limit: 1,
        ..EVERYTHING
    };
    assert_eq!(
        store.ticks("BTC", Some("EUR"), one).await.unwrap(),
        Some(vec![other.clone()]),
        "the limit applies after filtering by quote"
    );
    assert_eq!(store.ticks("BTC", Some("GBP"), one).await.unwrap(), None);
    let latest = store.latest_tick("BTC", Some("EUR")).await.unwrap();
    assert_eq!(*latest.unwrap(), other);
    let latest = store.latest_tick("BTC", Some("GBP")).await.unwrap();
    assert_eq!(latest, None);
    assert_eq!(store.ticks("nobody", None, EVERYTHING).await.unwrap(), None);
}

#[tokio::test]
async fn the_stream_keeps_the_order_of_a_token_and_numbers_without_gaps() {
    let folder = TempDir::new().unwrap();
    let made = ticks(&["BTC", "ETH", "SOL", "JUP", "WIF"], 40);
    let store = open(&folder);
    for chunk in made.chunks(7) {
        store.append(&refs(chunk), None).await.unwrap();
    }
    drop(store);
    let store = open(&folder);
    for shard in 0..SHARDS {
        let mut after = SequenceNumber::START;
        let mut seen = 0;
        loop {
            let records = store.read_stream(shard, after, 3).await.unwrap();
            let Some(last) = records.last() else { break };
            for record in &records {
                seen += 1;
                assert_eq!(record.sequence.count(), seen, "shard {shard}");
            }
            after = last.sequence;
        }
        assert_eq!(store.end_offsets()[usize::from(shard)].count(), seen);
    }
    let all = whole_stream(&store).await;
    assert_eq!(all.len(), made.len());
    for token in ["BTC", "WIF"] {
        let of = |ticks: Vec<Tick>| -> Vec<_> {
            ticks
                .into_iter()
                .filter(|tick| tick.token.as_str() == token)
                .collect()
        };
        assert_eq!(
            of(all.iter().map(|record| record.tick.clone()).collect()),
            of(made.clone())
        );
    }
    let middle = store
        .read_stream(0, SequenceNumber::from(5), 1)
        .await
        .unwrap();
    assert_eq!(
        middle.first().map(|record| record.sequence.count()),
        Some(6),
        "inside a block"
    );
}

#[tokio::test]
async fn an_arrival_stamped_tick_is_identified_by_its_id() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let at = |ms| Tick {
        timestamp_ms: ms,
        ingested_at_ms: ms,
        ..tick("MINT", 1)
    };
    for (replay, expected) in [PutOutcome::Stored, PutOutcome::Duplicate]
        .into_iter()
        .enumerate()
    {
        let tick = at(START_MS + i64::try_from(replay).unwrap());
        let receipt = store.put(&in_cohort([&tick, &tick])).await.unwrap();
        assert_eq!(receipt.outcomes, [expected, PutOutcome::Duplicate]);
    }
    store
        .sweep(START_MS + DAY_MS, store::StreamRetention::ALL, &[])
        .await
        .unwrap();
    let again = store.put(&in_cohort([&at(START_MS + 5)])).await.unwrap();
    assert_eq!(
        again.outcomes,
        [PutOutcome::Stored],
        "a tick is new again after retention removed it"
    );
}

/// Ticks of one millisecond, of which `sequence` says another order than the ids do.
fn of_one_millisecond() -> Vec<Tick> {
    let mut made: Vec<Tick> = (0..6).map(|n| tick("BTC", n)).collect();
    made.sort_by_key(|tick| tick.tick_id);
    for (tick, sequence) in made.iter_mut().zip((1..=6).rev()) {
        (tick.timestamp_ms, tick.sequence) = (START_MS, Some(sequence));
    }
    made
}

#[tokio::test]
async fn a_repeat_after_a_restart_is_a_duplicate() {
    for orderly in [false, true] {
        let folder = TempDir::new().unwrap();
        let store = open(&folder);
        let made = of_one_millisecond();
        store.put(&in_cohort(&made)).await.unwrap();
        if orderly {
            store.close();
        } else {
            drop(store);
        }
        let store = open(&folder);
        let again = store.put(&in_cohort(&made)).await.unwrap();
        assert_eq!(again.outcomes, [PutOutcome::Duplicate; 6], "{orderly}");
        let latest = store.latest_tick("BTC", None).await.unwrap().unwrap();
        assert_eq!(latest.sequence, Some(6), "{orderly}");
    }
}

#[tokio::test]
async fn a_time_of_its_own_that_equals_our_clock_is_an_event_time() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let of = |token: &str, at_ms| CohortTick {
        tick: Tick {
            tick_id: tick("BTC", 1).tick_id,
            timestamp_ms: at_ms,
            ingested_at_ms: at_ms,
            ..tick(token, 1)
        },
        in_cohort: true,
        arrival_stamped: false,
    };
    let made = [of("A", START_MS), of("B", START_MS), of("A", START_MS + 1)];
    let receipt = store.put(&made).await.unwrap();
    assert_eq!(receipt.outcomes, [PutOutcome::Stored; 3]);
    let receipt = store.put(&made).await.unwrap();
    assert_eq!(receipt.outcomes, [PutOutcome::Duplicate; 3]);
}

#[tokio::test]
async fn concurrent_copies_are_stored_once() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let made = Arc::new(ticks(&["BTC", "ETH"], 100));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, made) = (store.clone(), Arc::clone(&made));
            tokio::spawn(async move {
                let receipt = store.put(&in_cohort(made.iter())).await.unwrap();
                receipt
                    .outcomes
                    .iter()
                    .filter(|outcome| **outcome == PutOutcome::Stored)
                    .count()
            })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        stored += task.await.unwrap();
    }
    assert_eq!(stored, 200);
    assert_eq!(store.committed_ledger().await.unwrap().stored_rows, 200);
}

#[tokio::test]
async fn a_change_of_the_rollout_takes_effect_and_is_remembered() {
    let folder = TempDir::new().unwrap();
    let started_with = Rollout {
        use_kinesis: true,
        percentage: "10".parse().unwrap(),
        key: RolloutKey::Tick,
    };
    let store = open(&folder);
    assert_eq!(store.flag(started_with).current().await, started_with);
    for (at_ms, percentage) in [(1, "50"), (2, "0")] {
        let rollout = Rollout {
            percentage: percentage.parse().unwrap(),
            ..started_with
        };
        let change = RolloutChange {
            at_ms,
            who: "ann".to_owned(),
            why: "ramp".to_owned(),
            rollout,
        };
        store.change(change).await.unwrap();
        assert_eq!(store.flag(started_with).current().await, rollout);
    }
    drop(store);
    let store = open(&folder);
    assert_eq!(
        store
            .flag(started_with)
            .current()
            .await
            .percentage
            .basis_points(),
        0
    );
    let times: Vec<_> = store
        .history(10)
        .await
        .unwrap()
        .iter()
        .map(|change| change.at_ms)
        .collect();
    assert_eq!(times, [2, 1], "newest first");
}

#[tokio::test]
async fn the_quarantine_shows_the_newest_first() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    for received_at_ms in [START_MS, START_MS + 1] {
        let entry = Malformed::new(0, Reason::InvalidPrice, "no price", b"{}");
        store
            .keep(&[Quarantined {
                received_at_ms,
                source: "ticks".to_owned(),
                entry,
            }])
            .await
            .unwrap();
    }
    let kept = store.quarantined(10).await.unwrap();
    assert_eq!(
        kept.iter()
            .map(|kept| kept.received_at_ms)
            .collect::<Vec<_>>(),
        [START_MS + 1, START_MS]
    );
    assert_eq!(store.quarantined(1).await.unwrap().len(), 1);
    assert_eq!(store.committed_ledger().await.unwrap().quarantined, 2);
}

#[tokio::test]
async fn the_archive_gets_each_tick_of_the_stream_once() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let archive = Arc::new(Archive::open(folder.path()).unwrap());
    let archiver = Archiver::new(store.clone(), archive.clone(), crate::clock());
    store
        .append(&refs(&ticks(&["BTC", "ETH"], 30)), None)
        .await
        .unwrap();
    assert_eq!(archiver.lag_ticks().unwrap(), 60);
    assert_eq!(archiver.flush().await.unwrap().ticks, 60);
    assert_eq!(archiver.flush().await.unwrap().ticks, 0, "nothing new");
    store.append(&[&tick("BTC", 99)], None).await.unwrap();
    drop(archiver);
    assert_eq!(
        Archiver::new(store.clone(), archive, crate::clock())
            .flush()
            .await
            .unwrap()
            .ticks,
        1
    );
}

#[tokio::test]
async fn a_tick_that_the_archive_cannot_represent_is_set_aside() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let archive = Arc::new(Archive::open(folder.path()).unwrap());
    let archiver = Archiver::new(store.clone(), archive.clone(), crate::clock());
    let mut made = ticks(&["BTC"], 10);
    // In no year that a folder can be named after.
    made[3].timestamp_ms = i64::MAX;
    store.append(&refs(&made), None).await.unwrap();
    let flushed = archiver.flush().await.unwrap();
    assert_eq!(flushed.files, 1);
    assert_eq!(archiver.lag_ticks().unwrap(), 0);
    let kept = store.quarantined(10).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].source, "archive");
    assert_eq!(kept[0].entry.reason, Reason::Unprocessable);
    let message = &kept[0].entry.message;
    assert!(message.contains("years 1 to 9999"), "{message}");
}
