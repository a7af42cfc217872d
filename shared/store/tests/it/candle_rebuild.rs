//! Candles are compared with the stored ticks, and replaced.

use std::collections::BTreeSet;
use std::time::Duration;

use app::candle_rebuild::{
    CandleChange, EventTicks as _, RebuildReport, RebuildRequest, RebuiltCandles as _, SpanChanges,
    rebuild,
};
use app::ports::{TickStore as _, TickStream as _};
use domain::analytics::{Candle, Interval};
use domain::{Pair, Price, Tick};
use store::{EmbeddedStore, NotAnalysed};
use tempfile::TempDir;
use testkit::ticks::{START_MS, in_cohort, ticks};

use crate::analysis::{analyse, pass_over};
use crate::{open, refs};

/// An hour and some minutes of two tokens, in the stream.
async fn streamed(folder: &TempDir) -> EmbeddedStore {
    let store = open(folder);
    let made = ticks(&["BTC", "ETH"], 4_000);
    store.put(&in_cohort(&made)).await.unwrap();
    store.append(&refs(&made), None).await.unwrap();
    store
}

/// The same, analysed.
async fn analysed(folder: &TempDir) -> EmbeddedStore {
    let store = streamed(folder).await;
    analyse(&store, 5_000).await;
    store
}

async fn all_candles(store: &EmbeddedStore) -> Vec<Candle> {
    let mut all = Vec::new();
    for token in store.tokens(0, i64::MAX).await.unwrap() {
        let end_ms = START_MS + 7_200_000;
        let pairs = BTreeSet::new();
        let found = store.stored(&token, &pairs, START_MS, end_ms).await;
        all.extend(found.unwrap());
    }
    all
}

async fn run(store: &EmbeddedStore, apply: bool) -> RebuildReport {
    run_until(store, START_MS + 7_200_000, apply).await
}

async fn run_until(store: &EmbeddedStore, to_ms: i64, apply: bool) -> RebuildReport {
    let request = RebuildRequest {
        from_ms: START_MS,
        to_ms,
        tokens: BTreeSet::new(),
        received_before_ms: i64::MAX,
        apply,
    };
    let (report, done) = rebuild(store, store, &request, &|| false, &|_| {}).await;
    done.unwrap();
    report
}

async fn candle(store: &EmbeddedStore, interval: Interval, start_ms: i64) -> Candle {
    let token = store.tokens(0, i64::MAX).await.unwrap().remove(0);
    let none = BTreeSet::new();
    let found = store
        .stored(&token, &none, start_ms, start_ms + 1)
        .await
        .unwrap();
    found
        .into_iter()
        .find(|it| it.interval == interval)
        .unwrap()
}

/// Stores a candle with a wrong close, as if the analysis had done that.
async fn damage(store: &EmbeddedStore, before: &Candle) -> u64 {
    let mut after = before.clone();
    let series = after.series.first_mut().unwrap();
    series.values.close = Price::parse("77").unwrap();
    series.values.tick_count += 1;
    let change = CandleChange {
        before: Some(before.clone()),
        after,
    };
    let span = SpanChanges {
        changes: vec![change],
        ticks: Vec::new(),
    };
    let pair = Pair {
        token: before.token.clone(),
        quote: before.quote.clone(),
    };
    store.replace(&pair, span).await.unwrap()
}

#[tokio::test]
async fn what_the_analysis_stored_is_what_the_ticks_give() {
    let folder = TempDir::new().unwrap();
    let store = analysed(&folder).await;
    let tokens = store.tokens(0, i64::MAX).await.unwrap();
    assert_eq!(
        tokens.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
        ["BTC", "ETH"]
    );
    let report = run(&store, true).await;
    assert_eq!((report.tokens, report.ticks), (2, 8_000));
    // Per token: 4,000 of a second, 67 of a minute, 14 of five minutes, 2 of an hour.
    assert_eq!(report.same, 2 * (4_000 + 67 + 14 + 2));
    assert_eq!(
        (report.changes(), report.without_ticks, report.growing),
        (0, 0, 0)
    );
}

/// Analytics from nothing: each candle comes from the stored ticks, as if they had been analysed.
#[tokio::test]
async fn all_candles_are_rebuilt_from_nothing() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let expected = all_candles(&analysed(&folders[0]).await).await;
    let store = streamed(&folders[1]).await;
    pass_over(&store).await;
    assert_eq!(all_candles(&store).await, []);
    let shown = run(&store, false).await;
    assert_eq!((shown.missing, shown.replaced), (expected.len() as u64, 0));
    assert_eq!(all_candles(&store).await, [], "it was a dry run");
    let applied = run(&store, true).await;
    assert_eq!(applied.replaced, expected.len() as u64);
    assert_eq!(all_candles(&store).await, expected);
    assert_eq!(run(&store, true).await.changes(), 0);
}

#[tokio::test]
async fn a_wrong_candle_is_shown_then_replaced_and_then_right() {
    let folder = TempDir::new().unwrap();
    let store = analysed(&folder).await;
    let minute_ms = START_MS + 5 * 60_000;
    let right = candle(&store, Interval::OneMinute, minute_ms).await;
    let hour = candle(&store, Interval::OneHour, START_MS).await;
    assert_eq!(damage(&store, &right).await, 1);
    assert_eq!(
        damage(&store, &right).await,
        0,
        "it is not as it was compared any more"
    );
    assert_eq!(damage(&store, &hour).await, 1);
    let shown = run(&store, false).await;
    assert_eq!((shown.different, shown.missing, shown.replaced), (2, 0, 0));
    let example = shown
        .examples
        .iter()
        .find(|it| it.interval == Interval::OneMinute)
        .unwrap();
    assert_eq!((example.start, example.after.tick_count), (minute_ms, 60));
    assert_eq!(example.before.as_ref().unwrap().prices[3], "77");
    let applied = run(&store, true).await;
    assert_eq!((applied.different, applied.replaced), (2, 2));
    let after = candle(&store, Interval::OneMinute, minute_ms).await;
    assert_eq!((&after.series, after.tick_count()), (&right.series, 60));
    assert_eq!(after.revision, right.revision + 2);
    assert_eq!(run(&store, true).await.changes(), 0);
}

#[tokio::test]
async fn a_candle_that_the_analysis_has_open_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let store = analysed(&folder).await;
    let open = candle(&store, Interval::OneHour, START_MS + 3_600_000).await;
    assert_eq!(damage(&store, &open).await, 0);
}

/// As if a writer had appended each tick twice: what is open cannot be replaced, and a repetition has nothing to do.
#[tokio::test]
async fn a_candle_that_differs_while_it_is_open_is_growing() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let made = ticks(&["BTC", "ETH"], 4_000);
    store.put(&in_cohort(&made)).await.unwrap();
    let twice: Vec<&Tick> = made.iter().flat_map(|tick| [tick, tick]).collect();
    store.append(&twice, None).await.unwrap();
    analyse(&store, 10_000).await;
    let applied = run(&store, true).await;
    assert!(applied.replaced > 0 && applied.growing > 0, "{applied:?}");
    assert_eq!(applied.replaced, applied.changes());
    let again = run(&store, true).await;
    assert_eq!((again.changes(), again.growing), (0, applied.growing));
}

/// Hours without ticks of any token are not looked at, so that it ends.
#[tokio::test]
async fn a_range_far_into_the_future_ends_with_the_last_tick() {
    let folder = TempDir::new().unwrap();
    let store = analysed(&folder).await;
    let expected = run(&store, false).await;
    assert_eq!(run_until(&store, i64::MAX, false).await, expected);
}

#[tokio::test]
async fn it_waits_for_the_analysis() {
    let folder = TempDir::new().unwrap();
    let store = analysed(&folder).await;
    store.analysed_within(Duration::ZERO).await.unwrap();
    let more = ticks(&["SOL"], 3);
    store.put(&in_cohort(&more)).await.unwrap();
    store.append(&refs(&more), None).await.unwrap();
    let behind = store.analysed_within(Duration::ZERO).await.unwrap_err();
    assert!(matches!(behind, NotAnalysed::Behind(3)), "{behind}");
    store.close();
    // The deliveries of the process before did not commit their ledger.
    let store = open(&folder);
    let waiting = store.analysed_within(Duration::ZERO).await.unwrap_err();
    assert!(matches!(waiting, NotAnalysed::Outbox), "{waiting}");
}
