//! `kill -9` under load: acknowledged ticks are stored exactly once, everywhere.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ticks::START_MS;

use crate::archived::archived;
use crate::process::{Process, start};

/// A separate process that can be killed.
pub(crate) struct Killable {
    pub(crate) child: Child,
    pub(crate) url: String,
}

pub(crate) fn spawn(folder: &TempDir) -> Killable {
    spawn_with_log(folder, &[], Stdio::null())
}

pub(crate) fn spawn_with_log(folder: &TempDir, arguments: &[&str], log: Stdio) -> Killable {
    spawn_logging(folder.path(), "127.0.0.1:0", arguments, log)
}

pub(crate) fn spawn_on(folder: &Path, listen: &str, arguments: &[&str]) -> Killable {
    spawn_logging(folder, listen, arguments, Stdio::null())
}

pub(crate) fn spawn_logging(
    folder: &Path,
    listen: &str,
    arguments: &[&str],
    log: Stdio,
) -> Killable {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tickstream"))
        .args(["--listen", listen, "--archive-seconds", "1", "--data-dir"])
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let dashboard = lines
        .map(Result::unwrap)
        .find(|line| line.contains("dashboard"))
        .unwrap();
    let url = dashboard
        .split_whitespace()
        .last()
        .unwrap()
        .trim_end_matches('/')
        .to_owned();
    Killable { child, url }
}

fn trades(batch: u32) -> String {
    let trade = |n: u32| {
        json!({
            "token": if n.is_multiple_of(2) { "BTC" } else { "ETH" }, "quote": "USD", "price": format!("{}.25", 1_000 + n % 90),
            "volume": "1", "timestamp": START_MS + i64::from(n) * 250, "id": format!("trade-{n}"),
        })
    };
    Value::from(
        (batch * 50..(batch + 1) * 50)
            .map(trade)
            .collect::<Vec<_>>(),
    )
    .to_string()
}

const BATCHES: u32 = 60;
const TICKS: u64 = 3_000;

/// Delivers batches until the process is gone; returns the first batch without a 200.
async fn deliver(url: &str, from: u32, kill_at: u32, child: &mut Child) -> u32 {
    let http = reqwest::Client::new();
    for batch in from..BATCHES {
        if batch == kill_at {
            // The process dies while the next delivery is in flight.
            let request = http
                .post(format!("{url}/webhooks/ticks"))
                .header("content-type", "application/json")
                .body(trades(batch));
            let under_way = tokio::spawn(request.send());
            tokio::time::sleep(std::time::Duration::from_millis(u64::from(kill_at % 5))).await;
            child.kill().unwrap();
            child.wait().unwrap();
            let answered = under_way
                .await
                .unwrap()
                .is_ok_and(|response| response.status() == 200);
            return if answered { batch + 1 } else { batch };
        }
        let request = http
            .post(format!("{url}/webhooks/ticks"))
            .header("content-type", "application/json")
            .body(trades(batch));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    BATCHES
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_tick_is_lost_or_duplicated() {
    let folder = TempDir::new().unwrap();
    let mut next = 0;
    for kill_at in [7, 19, 33, 48] {
        let Killable { mut child, url } = spawn(&folder);
        next = deliver(&url, next, kill_at, &mut child).await;
    }
    let process = start(&folder, &[]).await;
    let (_, ledger) = process.get("/api/ledger").await;
    assert!(
        ledger["stored"].as_u64().unwrap() >= u64::from(next) * 50,
        "{ledger}"
    );
    for batch in 0..BATCHES {
        assert_eq!(
            process.deliver("ticks", trades(batch)).await.0,
            200,
            "a second replay of everything"
        );
    }
    check_everywhere(&process, &folder).await;
    process.stop().await;
    let process = start(&folder, &[]).await;
    check_everywhere(&process, &folder).await;
    process.stop().await;
}

async fn check_everywhere(process: &Process, folder: &TempDir) {
    process
        .until("/api/ledger", |ledger| ledger["pending"] == 0)
        .await;
    process.analysed().await;
    let (_, ledger) = process.get("/api/ledger").await;
    assert_eq!(
        (
            &ledger["stored"],
            &ledger["stream_records"],
            &ledger["difference"],
            &ledger["pending"]
        ),
        (&json!(TICKS), &json!(TICKS), &json!(0), &json!(0)),
        "{ledger}"
    );
    let mut rows = 0;
    let mut trades = 0;
    for token in ["BTC", "ETH"] {
        rows += process
            .list(&format!("/api/ticks/{token}?limit=10000"), "ticks")
            .await
            .len() as u64;
        for interval in ["1s", "1m", "5m", "1h"] {
            let candles = process
                .list(
                    &format!("/api/candles/{token}?interval={interval}&limit=10000"),
                    "candles",
                )
                .await;
            trades += candles
                .iter()
                .map(|candle| candle["trades"].as_u64().unwrap())
                .sum::<u64>();
        }
    }
    assert_eq!((rows, trades), (TICKS, 4 * TICKS));
    process
        .until("/api/status", |status| {
            status["consumers"][1]["lag_records"] == 0
        })
        .await;
    process.flush_archive().await;
    let rows = archived(folder.path());
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.tick_id.as_str()).collect();
    assert_eq!((rows.len() as u64, ids.len() as u64), (TICKS, TICKS));
}
