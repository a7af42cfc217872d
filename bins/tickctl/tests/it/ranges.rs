//! `tickctl replay` and `tickctl rebuild` of a range, of a data folder that no process has open.

use std::path::Path;
use std::sync::Arc;

use app::analyse::{Analyser, AnalysisFeed, AnalysisUpdate};
use app::candle_rebuild::{CandleChange, RebuiltCandles as _, SpanChanges};
use app::ledger::LedgerEntry;
use app::ports::{CohortTick, LedgerWriter, TickStore as _, TickStream as _};
use archive::Archive;
use async_trait::async_trait;
use domain::analytics::{AnalysisConfig, Interval};
use domain::{Method, Pair, Price, SourceName, Tick, TickId, Token};
use serde_json::Value;
use store::{EmbeddedConfig, EmbeddedStore, SHARDS, STORE_FOLDER, StreamRetention};
use tempfile::TempDir;

use crate::process::{Run, tickctl};
use crate::stub::{Script, Stub};

/// 2026-03-07T00:00:00Z.
const DAY_MS: i64 = 1_772_841_600_000;

fn tick(token: &str, n: i64) -> Tick {
    Tick {
        tick_id: TickId::derive("test", &[token, &n.to_string()]),
        token: Token::new(token).unwrap(),
        quote: Token::new("USD").unwrap(),
        price: Price::parse("1.25").unwrap(),
        volume: None,
        timestamp_ms: DAY_MS + n * 1_000,
        ingested_at_ms: DAY_MS + n * 1_000 + 5,
        source: SourceName::new("test:market").unwrap(),
        slot: None,
        method: Method::Trade,
        sequence: Some(n.unsigned_abs()),
        quality: None,
    }
}

struct Nobody;

#[async_trait]
impl AnalysisFeed for Nobody {
    async fn publish(&self, _: AnalysisUpdate) {}
}

fn open(data: &Path) -> EmbeddedStore {
    EmbeddedStore::open(&EmbeddedConfig::new(data.join(STORE_FOLDER))).unwrap()
}

/// A data folder as a stopped process leaves it: 120 ticks of BTC and ETH each, of which those of ETH do not belong to
/// the stream.
async fn stopped(data: &Path) {
    let store = open(data);
    let mut decided = Vec::new();
    for n in 0..120 {
        for (token, in_cohort) in [("BTC", true), ("ETH", false)] {
            decided.push(CohortTick {
                tick: tick(token, n),
                in_cohort,
                arrival_stamped: false,
            });
        }
    }
    let receipt = store.put(&decided).await.unwrap();
    let cohort: Vec<&Tick> = decided
        .iter()
        .filter(|it| it.in_cohort)
        .map(|it| &it.tick)
        .collect();
    store.append(&cohort, receipt.outbox_id).await.unwrap();
    let counts = LedgerEntry {
        received: 240,
        stored: 240,
        in_cohort: 120,
        streamed: 120,
        ..LedgerEntry::default()
    };
    LedgerWriter::commit(&store, receipt.outbox_id, counts)
        .await
        .unwrap();
    for shard in 0..SHARDS {
        let (results, feed) = (Arc::new(store.clone()), Arc::new(Nobody));
        let mut analyser = Analyser::new(shard, results, feed, AnalysisConfig::default());
        let after = store.checkpoint("analytics", shard).unwrap();
        let records = store.read_stream(shard, after, 1_000).await.unwrap();
        analyser.fold(&records).await.unwrap();
        analyser.commit().await.unwrap();
    }
    store.committed_ledger().await.unwrap();
    store.close();
}

pub(crate) fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(stopped(folder.path()));
    folder
}

/// Removes the days of a folder's store before this one.
pub(crate) fn sweep(folder: &TempDir, day: &str) {
    let midnight = format!("{day}T00:00:00Z");
    let before = chrono::DateTime::parse_from_rfc3339(&midnight).unwrap();
    let stream = StreamRetention {
        from_ms: 0,
        bytes_max: u64::MAX,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(folder.path());
        let before_ms = before.timestamp_millis();
        store
            .sweep(before_ms, stream, &store::CONSUMERS)
            .await
            .unwrap();
        store.close();
    });
}

/// Stores so many more ticks of BTC, which belong to the stream and never come to it.
pub(crate) fn lose(folder: &TempDir, count: i64) {
    let lost = (0..count).map(|n| CohortTick {
        tick: tick("BTC", 200 + n),
        in_cohort: true,
        arrival_stamped: false,
    });
    let lost: Vec<CohortTick> = lost.collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(folder.path());
        let receipt = store.put(&lost).await.unwrap();
        let entry = LedgerEntry::default();
        LedgerWriter::commit(&store, receipt.outbox_id, entry)
            .await
            .unwrap();
        store.close();
    });
}

fn on(folder: &TempDir, arguments: &[&str]) -> Run {
    let data = folder.path().to_str().unwrap();
    tickctl(&[arguments, &["--data-dir", data]].concat())
}

/// The ids of what a server got.
fn ids(stub: &Stub) -> Vec<Value> {
    stub.entries()
        .iter()
        .map(|entry| entry["tick_id"].clone())
        .collect()
}

#[test]
fn ticks_of_the_store_arrive_with_their_ids_and_a_repeat_is_all_duplicates() {
    let (folder, stub) = (folder(), Stub::start(Script::default()));
    let range = [
        "replay",
        "--store",
        "--from",
        "2026-03-07T00:01:00Z",
        "--to",
        "2026-03-07T00:01:30Z",
    ];
    let to = ["--into", &stub.url];
    let dry = on(&folder, &[&range[..], &to, &["--dry-run"]].concat());
    assert_eq!(dry.code, 0, "{dry:?}");
    assert!(dry.stdout.contains("would send 60 ticks"), "{dry:?}");
    assert_eq!(stub.requests(), 0);
    let run = on(&folder, &[&range[..], &to, &["--tokens", "BTC"]].concat());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    assert_eq!(
        run.stdout,
        "replayed  30 ticks: 30 stored, 0 duplicate, 0 rejected\n"
    );
    let expected: Vec<Value> = (60..90)
        .map(|n| tick("BTC", n).tick_id.to_string().into())
        .collect();
    assert_eq!(ids(&stub), expected);
    let first = &stub.entries()[0];
    assert_eq!(
        (&first["price"], &first["method"], &first["source"]),
        (&"1.25".into(), &"trade".into(), &"test:market".into())
    );
    let again = on(&folder, &[&range[..], &to, &["--tokens", "BTC"]].concat());
    assert_eq!(
        again.stdout,
        "replayed  30 ticks: 0 stored, 30 duplicate, 0 rejected\n"
    );
}

#[test]
fn ticks_of_the_archive_are_the_same_but_for_their_digits() {
    let (data, stub) = (TempDir::new().unwrap(), Stub::start(Script::default()));
    let archive = Archive::open(data.path()).unwrap();
    let ticks: Vec<Tick> = (0..100).map(|n| tick("BTC", n)).collect();
    archive.write_range(0, 1, 100, &ticks).unwrap();
    let range = [
        "replay",
        "--archive",
        "--from",
        "2026-03-07T00:00:10Z",
        "--to",
        "2026-03-07T00:00:20Z",
    ];
    let run = on(&data, &[&range[..], &["--into", &stub.url]].concat());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    assert_eq!(
        run.stdout,
        "replayed  10 ticks: 10 stored, 0 duplicate, 0 rejected\n"
    );
    let expected: Vec<Value> = (10..20)
        .map(|n| tick("BTC", n).tick_id.to_string().into())
        .collect();
    assert_eq!(ids(&stub), expected);
    assert_eq!(stub.entries()[0]["price"], "1.25");
    let names: Vec<_> = data
        .path()
        .read_dir()
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert!(
        names
            .iter()
            .all(|it| !it.to_string_lossy().contains("tickctl")),
        "{names:?}"
    );
}

/// A trade that was sent 40 days late is in the folder of its day, and belongs to the range of its receipt.
#[test]
fn a_trade_that_was_sent_late_is_found_in_its_older_folder() {
    let (data, stub) = (TempDir::new().unwrap(), Stub::start(Script::default()));
    let archive = Archive::open(data.path()).unwrap();
    let mut late = tick("BTC", 0);
    late.timestamp_ms -= 40 * 86_400_000;
    archive
        .write_range(0, 1, 2, &[late.clone(), tick("BTC", 1)])
        .unwrap();
    let range = ["replay", "--archive", "--from", "2026-03-07", "--to"];
    let to = ["2026-03-08", "--into", &stub.url];
    let run = on(&data, &[&range[..], &to].concat());
    assert_eq!(run.code, 0, "{run:?}");
    assert!(ids(&stub).contains(&late.tick_id.to_string().into()));
    assert_eq!(
        run.stdout,
        "replayed  2 ticks: 2 stored, 0 duplicate, 0 rejected\n"
    );
}

/// Of a repeat, the stream gets nothing.
#[test]
fn into_the_stream_of_this_machine_goes_only_what_it_lacks() {
    let folder = folder();
    let replay = |more: &[&str]| {
        let range = ["--from", "2026-03-07", "--to", "2026-03-08"];
        on(
            &folder,
            &[&["replay", "--into", "stream"], &range[..], more].concat(),
        )
    };
    let left_out = "left out  120 ticks: they do not belong to the stream\n";
    let run = replay(&["--store"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    let there = "appended  0 of 120 ticks to the stream; 120 already in the stream, in the archive, or in the outbox\n";
    assert_eq!(run.stdout, format!("{left_out}{there}"));
    lose(&folder, 1);
    let run = replay(&["--archive"]);
    assert_eq!(run.code, 3, "there is no archive yet: {run:?}");
    let run = replay(&["--store", "--tokens", "BTC", "--dry-run"]);
    let would = "would append 1 of 121 ticks";
    assert!(run.code == 0 && run.stdout.contains(would), "{run:?}");
    let run = replay(&["--store", "--tokens", "BTC"]);
    let appended = "appended  1 of 121 ticks to the stream; 120 already";
    assert!(run.stdout.starts_with(appended), "{run:?}");
    let run = replay(&["--store"]);
    assert!(run.stdout.contains("appended  0 of 121 ticks"));
    let archive = Archive::open(folder.path()).unwrap();
    let archived: Vec<Tick> = (0..50).map(|n| tick("BTC", n)).collect();
    archive.write_range(0, 1, 50, &archived).unwrap();
    let run = replay(&["--archive"]);
    assert_eq!(run.code, 0, "{run:?}");
    let of_archive = "appended  0 of 50 ticks to the stream; 50 already in the stream, in the archive, or in the outbox\n";
    assert_eq!(run.stdout, of_archive);
    for (range, said) in [
        (&["--from", "2s"][..], "the range is empty"),
        (
            &["--from", "2026-01-01", "--to", "2026-01-02"],
            "no tick that was received",
        ),
    ] {
        let run = on(
            &folder,
            &[&["replay", "--store", "--into", "stream"], range].concat(),
        );
        let output = format!("{}{}", run.stdout, run.stderr);
        assert!(run.code == 3 && output.contains(said), "{run:?}");
    }
}

#[test]
fn a_range_needs_a_destination_that_can_take_it() {
    let folder = folder();
    for (options, rule) in [
        (&["--store", "--from", "1h"][..], "where to?"),
        (
            &["--archive", "s3://b/p", "--from", "1h", "--into", "stream"],
            "its own store or archive",
        ),
        (
            &[
                "--store", "--from", "1h", "--to", "2h", "--into", "http://h",
            ],
            "--from is not before --to",
        ),
        (&["--store", "--into", "http://h"], "--from"),
        (
            &["--store", "--archive", "--from", "1h"],
            "cannot be used with",
        ),
        (
            &[
                "--store", "--from", "1h", "--tokens", "a b", "--into", "http://h",
            ],
            "--tokens a b",
        ),
    ] {
        let run = on(&folder, &[&["replay"], options].concat());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(rule), "{rule}: {run:?}");
    }
    // What was removed, or never kept, could not be seen.
    let missing = TempDir::new().unwrap();
    let run = on(
        &missing,
        &["replay", "--archive", "--from", "1h", "--into", "http://h"],
    );
    assert_eq!(run.code, 2, "{run:?}");
}

#[test]
fn where_there_is_nothing_it_is_not_said_to_be_fine() {
    let folder = folder();
    let archive = Archive::open(folder.path()).unwrap();
    archive.write_range(0, 1, 1, &[tick("BTC", 0)]).unwrap();
    let day = ["--from", "2026-03-07", "--to", "2026-03-08"];
    let past = ["--from", "2026-01-01", "--to", "2026-01-02"];
    let future = ["--from", "2100-01-01", "--to", "2100-01-02"];
    let replay = |origin| ["replay", origin, "--into", "http://h", "--dry-run"];
    let no_tick = "there is no tick that was received in the range";
    let store = replay("--store");
    for (command, range, said) in [
        (&replay("--archive")[..], &past, no_tick),
        (&store, &past, no_tick),
        (&store, &future, "--from is in the future"),
        (
            &[&store[..], &["--tokens", "NOPE"]].concat(),
            &day,
            "no tick of NOPE",
        ),
        (
            &[&store[..], &["--tokens", "BTC,NOPE"]].concat(),
            &day,
            "no tick of NOPE",
        ),
        (&["rebuild"], &future, "--from is in the future"),
        (&["rebuild"], &past, "nothing was compared"),
        (
            &["rebuild", "--tokens", "BTC,NOPE"],
            &day,
            "no stored stream tick of NOPE",
        ),
        (&["quarantine", "list"], &future, "--from is in the future"),
    ] {
        let run = on(&folder, &[command, &range[..]].concat());
        assert_eq!(run.code, 3, "{command:?} {range:?}: {run:?}");
        let output = format!("{}{}", run.stdout, run.stderr);
        assert!(output.contains(said), "{command:?} {range:?}: {run:?}");
    }
    // Without malformed entries, nothing is wrong.
    let run = on(&folder, &[&["quarantine", "list"], &past[..]].concat());
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.stdout
            .starts_with("0 entries: none that is selected was received from 2026-01-01T00:00:00Z"),
        "{run:?}"
    );
}

/// Stores a candle with a wrong close.
async fn damage(data: &Path) {
    let store = open(data);
    let pair = Pair::of(&tick("BTC", 0));
    let found = store
        .stored(&pair.token, &[].into(), DAY_MS, DAY_MS + 1)
        .await
        .unwrap();
    let before = found
        .into_iter()
        .find(|it| it.interval == Interval::OneMinute)
        .unwrap();
    let mut after = before.clone();
    after.series.first_mut().unwrap().values.close = Price::parse("77").unwrap();
    let change = CandleChange {
        before: Some(before),
        after,
    };
    let span = SpanChanges {
        changes: vec![change],
        ticks: Vec::new(),
    };
    assert_eq!(store.replace(&pair, span).await.unwrap(), 1);
    store.close();
}

#[test]
fn candles_are_rebuilt_after_a_dry_run_and_then_as_they_should_be() {
    let folder = folder();
    let range = [
        "rebuild",
        "--from",
        "2026-03-07",
        "--to",
        "2026-03-07T01:00:00Z",
    ];
    let run = on(&folder, &range);
    assert_eq!(run.code, 0, "{run:?}");
    // 120 of a second, 2 of a minute, and 1 each of five minutes and an hour; ETH is not in the stream.
    let compared =
        "compared  2 tokens, 120 ticks; candles: 124 as they should be, 0 differ, 0 missing";
    assert_eq!(run.stdout, format!("{compared}\nnothing to change\n"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(damage(folder.path()));
    let run = on(&folder, &range);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stdout
            .contains("BTC/USD trades 1m 2026-03-07T00:00:00Z: close 77 becomes 1.25"),
        "{run:?}"
    );
    assert!(
        run.stdout.contains("would replace 1 candle; add --apply"),
        "{run:?}"
    );
    let run = on(&folder, &[&range[..], &["--apply"]].concat());
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.stdout
            .ends_with("replaced  1 candle\ncompared again: nothing to change\n"),
        "{run:?}"
    );
    let run = on(&folder, &[&range[..], &["--json"]].concat());
    let report: Value = serde_json::from_str(run.stdout.trim()).unwrap();
    assert_eq!(
        (&report["rebuild"]["same"], &report["after"]),
        (&124.into(), &Value::Null)
    );
}
