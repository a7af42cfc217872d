//! A data folder of the release before (layout 3, ticks of version 1.0), killed while it served, is
//! taken over: nothing is lost, and what is delivered again is found.

use std::io::Cursor;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ticks::START_MS;
use zip::ZipArchive;

use crate::archived::archived;
use crate::process::{Process, start};

/// Nine ticks of three tokens that each number theirs 1, 2, 3; a tick without an id; and nine Binance
/// trades, three a millisecond.
const FOLDER: &[u8] = include_bytes!("../fixtures/data-of-release-1.0.zip");

fn numbered() -> Value {
    let tick = |token: &str, n: i64| {
        json!({
            "token": token, "price": (10 + n).to_string(), "volume": "1.5",
            "timestamp": START_MS + n * 1_000, "id": n.to_string(),
        })
    };
    let of_token = |token| (1..=3).map(move |n| tick(token, n));
    ["A", "B", "C"].into_iter().flat_map(of_token).collect()
}

fn trade(n: i64) -> Value {
    let time_ms = START_MS + 100 + n / 3;
    json!({
        "e": "trade", "E": time_ms, "T": time_ms, "s": "BTCUSDT", "t": 1_000 + n,
        "p": (90_000 + (n * 7) % 5).to_string(), "q": "0.25",
    })
}

async fn check(process: &Process, source: &str, body: Value, stored: u64, duplicate: u64) {
    let (status, answer) = process.deliver(source, body.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    let counts = (&answer["stored"], &answer["duplicate"]);
    assert_eq!(counts, (&json!(stored), &json!(duplicate)), "{answer}");
}

async fn minute_of_btc(process: &Process) -> Value {
    process.analysed().await;
    let candles = process
        .list("/api/candles/BTC?interval=1m", "candles")
        .await;
    assert_eq!(candles.len(), 1, "{candles:?}");
    candles[0].clone()
}

fn rows(folder: &Path) -> usize {
    archived(folder).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_release_1_0_is_taken_over() {
    let folder = TempDir::new().unwrap();
    let mut archive = ZipArchive::new(Cursor::new(FOLDER)).unwrap();
    archive.extract(folder.path()).unwrap();
    let process = start(&folder, &[]).await;
    let before = minute_of_btc(&process).await;
    assert_eq!(before["trades"], 9);

    // The same deliveries after the upgrade: ids of the old kind are found.
    let trades: Value = (0..9).map(trade).collect();
    check(&process, "ticks", numbered(), 0, 9).await;
    check(&process, "binance", trades, 0, 9).await;
    assert_eq!(minute_of_btc(&process).await, before);
    process.flush_archive().await;
    // Of 19 ticks, release 1.0 left out three whose ids another token of their shard has, too.
    assert_eq!(rows(folder.path()), 16);

    // The analysis of the pair continues: its open candle counts the next trade.
    check(&process, "binance", json!([trade(9)]), 1, 0).await;
    let after = minute_of_btc(&process).await;
    assert_eq!(
        (&after["trades"], &after["close"]),
        (&json!(10), &json!("90003"))
    );

    // Later events have ids of the new kind: one for each token and time.
    let later = |token: &str, offset_ms: i64| {
        json!({
            "token": token, "price": "5", "timestamp": START_MS + 60_000 + offset_ms, "id": "1",
        })
    };
    let new = json!([later("A", 0), later("B", 0), later("A", 1)]);
    check(&process, "ticks", new.clone(), 3, 0).await;
    check(&process, "ticks", new, 0, 3).await;
    process.flush_archive().await;
    let mut ids: Vec<String> = archived(folder.path())
        .into_iter()
        .map(|row| row.tick_id)
        .collect();
    ids.sort();
    ids.dedup();
    // The six rows of numbered ticks of release 1.0 share three ids.
    assert_eq!((rows(folder.path()), ids.len()), (20, 17));
    let (_, ledger) = process.get("/api/ledger").await;
    assert_eq!(ledger["difference"], 0, "{ledger}");
    process.stop().await;
}
