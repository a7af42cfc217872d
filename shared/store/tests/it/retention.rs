//! Retention: days are dropped whole, what is kept is found, and pairs come and go.

use app::ports::{PutOutcome, Quarantine, Quarantined, TickStore, TickStream};
use domain::{Malformed, Pair, Reason, Tick, TickId};
use store::{EmbeddedStore, TickRange};
use tempfile::TempDir;
use testkit::ticks::{START_MS, in_cohort, tick, ticks};

use crate::{open, refs, whole_stream};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The first midnight of these tests.
const MIDNIGHT_MS: i64 = START_MS - START_MS % DAY_MS;

const EVERYTHING: TickRange = TickRange {
    from_ms: 0,
    to_ms: i64::MAX,
    limit: 10_000,
};

/// A tick that was received on a day and happened `late_days` before.
fn received(token: &str, number: u32, day: i64, late_days: i64) -> Tick {
    let mut made = tick(token, number);
    made.ingested_at_ms = MIDNIGHT_MS + day * DAY_MS + i64::from(number) + 1_000;
    made.timestamp_ms = made.ingested_at_ms - late_days * DAY_MS - 500;
    made.tick_id = TickId::derive("retention", &[token, &number.to_string(), &day.to_string()]);
    made
}

async fn put(store: &EmbeddedStore, made: &[Tick]) -> Vec<PutOutcome> {
    store.put(&in_cohort(made)).await.unwrap().outcomes
}

async fn sweep_before(store: &EmbeddedStore, day: i64) -> store::Swept {
    let before_ms = MIDNIGHT_MS + day * DAY_MS;
    store
        .sweep(before_ms, store::StreamRetention::ALL, &[])
        .await
        .unwrap()
}

#[tokio::test]
async fn the_day_of_receipt_decides_and_a_day_is_removed_as_a_whole() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let old = received("BTC", 1, 0, 0);
    // It happened before `old`, and was received later.
    let replayed = received("BTC", 2, 1, 400);
    put(&store, &[old.clone(), replayed.clone()]).await;
    let entry = Malformed::new(0, Reason::InvalidPrice, "no price", b"{}");
    for day in [0, 1] {
        let received_at_ms = MIDNIGHT_MS + day * DAY_MS + 1;
        let entry = Quarantined {
            received_at_ms,
            source: "ticks".to_owned(),
            entry: entry.clone(),
        };
        store.keep(&[entry]).await.unwrap();
    }
    let all = store.ticks("BTC", None, EVERYTHING).await.unwrap().unwrap();
    assert_eq!(all, [replayed.clone(), old.clone()]);

    // A limit within a day removes only the days before it.
    let within = MIDNIGHT_MS + DAY_MS - 1;
    assert_eq!(
        store
            .sweep(within, store::StreamRetention::ALL, &[])
            .await
            .unwrap()
            .ticks,
        0
    );
    assert_eq!(sweep_before(&store, 1).await.ticks, 1);
    assert_eq!(sweep_before(&store, 1).await.ticks, 0, "already removed");
    let mut store = store;
    for _ in 0..2 {
        let kept = store.ticks("BTC", None, EVERYTHING).await.unwrap().unwrap();
        assert_eq!(kept, std::slice::from_ref(&replayed));
        let quarantined = store.quarantined(10).await.unwrap();
        assert_eq!(quarantined.len(), 1);
        store.close();
        store = open(&folder);
    }
    assert_eq!(put(&store, &[replayed]).await, [PutOutcome::Duplicate]);
    let again = Tick {
        ingested_at_ms: MIDNIGHT_MS + DAY_MS + 5,
        ..old
    };
    assert_eq!(
        put(&store, &[again]).await,
        [PutOutcome::Stored],
        "a removed tick is new again"
    );
}

#[tokio::test]
async fn a_repeat_is_found_on_whatever_kept_day_it_was_received() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let mut made: Vec<Tick> = (0..8).map(|day| received("BTC", 1, day, day % 3)).collect();
    made.extend((0..8).map(|day| received("ETH", 2, day, 7 - day)));
    for tick in &made {
        put(&store, std::slice::from_ref(tick)).await;
    }
    for again_on_day in [8, 12] {
        let again: Vec<Tick> = made
            .iter()
            .map(|tick| Tick {
                ingested_at_ms: MIDNIGHT_MS + again_on_day * DAY_MS,
                ..tick.clone()
            })
            .collect();
        assert_eq!(put(&store, &again).await, [PutOutcome::Duplicate; 16]);
        store.close();
        store = open(&folder);
    }
    assert_eq!(sweep_before(&store, 6).await.ticks, 12);
    let kept: Vec<Tick> = made
        .iter()
        .filter(|it| it.ingested_at_ms >= MIDNIGHT_MS + 6 * DAY_MS)
        .cloned()
        .collect();
    assert_eq!(put(&store, &kept).await, [PutOutcome::Duplicate; 4]);
}

#[tokio::test]
async fn pairs_without_ticks_in_the_kept_days_are_freed() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    for day in 0..20 {
        let mut made = vec![received("BTC", 1, day, 0)];
        made.extend((0..30).map(|n| received(&format!("MINT-{day}-{n}"), 7, day, 0)));
        assert_eq!(put(&store, &made).await, vec![PutOutcome::Stored; 31]);
        let swept = sweep_before(&store, day - 2).await;
        assert_eq!(swept.pairs, if day >= 3 { 30 } else { 0 }, "day {day}");
        if day % 5 == 4 {
            store.close();
            store = open(&folder);
        }
        let kept_days = (day + 1).min(3).unsigned_abs();
        assert_eq!(store.pairs_live(), 1 + 30 * kept_days, "day {day}");
    }
    assert!(!store.has_pair("MINT-3-7", None).await.unwrap());
    assert_eq!(
        store.ticks("MINT-3-7", None, EVERYTHING).await.unwrap(),
        None
    );
    assert!(store.has_pair("MINT-18-7", Some("USD")).await.unwrap());
    let btc = store.ticks("BTC", None, EVERYTHING).await.unwrap().unwrap();
    assert_eq!(btc.len(), 3);
    // A freed pair may come back.
    let back = received("MINT-3-7", 9, 20, 0);
    assert_eq!(
        put(&store, std::slice::from_ref(&back)).await,
        [PutOutcome::Stored]
    );
    let found = store.latest_tick("MINT-3-7", None).await.unwrap();
    assert_eq!(found.as_deref(), Some(&back));
}

#[tokio::test]
async fn a_pair_that_expired_and_was_not_removed_yet_starts_anew() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    put(
        &store,
        &[received("BTC", 1, 0, 0), received("ETH", 1, 9, 0)],
    )
    .await;
    // The removal is asked for beside new ticks of the pair.
    let back = received("BTC", 2, 9, 0);
    let back = [back];
    let (swept, outcomes) = tokio::join!(sweep_before(&store, 5), put(&store, &back));
    assert_eq!((swept.ticks, outcomes), (1, vec![PutOutcome::Stored]));
    assert_eq!(store.pairs_live(), 2);
    let found = store.ticks("BTC", None, EVERYTHING).await.unwrap().unwrap();
    assert_eq!(found, back);
}

#[tokio::test]
async fn pages_have_each_pair_once_in_order() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let tokens = ["B", "A", "AB", "C", "D"];
    put(&store, &ticks(&tokens, 3)).await;
    let (mut seen, mut after): (Vec<String>, Option<Pair>) = (Vec::new(), None);
    loop {
        let (page, next) = store.latest_page(after.as_ref(), 2).await.unwrap();
        assert!(page.len() <= 2);
        seen.extend(page.iter().map(|tick| tick.token.as_str().to_owned()));
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ["A", "AB", "B", "C", "D"]);
    let recent = store.recent_ticks(2);
    assert_eq!(recent.len(), 2);
}

#[tokio::test]
async fn the_stream_keeps_what_a_consumer_has_not_read() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let made = ticks(&["BTC"], 20);
    put(&store, &made).await;
    store.append(&refs(&made), None).await.unwrap();
    let before_ms = START_MS + 2 * DAY_MS;
    let swept = store
        .sweep(before_ms, store::StreamRetention::ALL, &["analytics"])
        .await
        .unwrap();
    assert_eq!(swept.ticks, 20);
    assert_eq!(whole_stream(&store).await.len(), 20);
}
