//! A backup under load, and what a start from it has: every delivery that was answered before it, once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ticks::START_MS;

use crate::archived::{archived, quarantined};
use crate::process::{Process, start, ticks_body};

/// Ticks in a delivery.
const DELIVERY: u32 = 10;

/// Deliveries before the backup is asked for, by each of the senders.
const BEFORE: u32 = 12;

/// Senders at the same time, and how long each waits after a delivery.
const SENDERS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(20);

/// The tokens, in turn.
const TOKENS: [&str; 5] = ["BTC", "ETH", "SOL", "WIF", "JUP"];

/// Ticks of all tokens, and one malformed entry.
fn delivery(number: u32) -> String {
    let tick = |n: u32| {
        let number = number * DELIVERY + n;
        json!({
            "token": TOKENS[n as usize % TOKENS.len()], "quote": "USD",
            "price": format!("{}.25", 1_000 + number % 90), "volume": "1",
            "timestamp": START_MS + i64::from(number) * 250, "id": format!("trade-{number}"),
        })
    };
    let malformed = json!({"token": "BTC", "price": "no", "timestamp": START_MS, "id": number});
    Value::from(
        (0..DELIVERY)
            .map(tick)
            .chain([malformed])
            .collect::<Vec<_>>(),
    )
    .to_string()
}

fn ticks_in(deliveries: u32) -> u32 {
    deliveries * DELIVERY
}

/// Asks for a backup, and returns the response.
async fn back_up(process: &Process) -> Value {
    let (status, made) = process
        .send(process.post("/api/backup", String::new()))
        .await;
    assert_eq!(status, 200, "{made}");
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answered_delivery_is_in_a_backup_once() {
    let folder = TempDir::new().unwrap();
    let elsewhere = TempDir::new().unwrap();
    let backup_dir = elsewhere.path().to_str().unwrap();
    let arguments = ["--archive-seconds", "1", "--backup-dir", backup_dir];
    let process = Arc::new(start(&folder, &arguments).await);
    let (next, stopping) = (
        Arc::new(AtomicU32::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let answered = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..SENDERS {
        let (process, next, stopping) = (process.clone(), next.clone(), stopping.clone());
        let answered = answered.clone();
        senders.spawn(async move {
            while !stopping.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let (status, answer) = process.deliver("ticks", delivery(number)).await;
                assert_eq!(
                    (status, &answer["stored"]),
                    (200, &json!(DELIVERY)),
                    "{answer}"
                );
                answered.lock().unwrap().insert(number);
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    let mut backups = Vec::new();
    for round in 1..=2 {
        while answered.lock().unwrap().len() < (round * BEFORE * SENDERS) as usize {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let before = answered.lock().unwrap().clone();
        let made = back_up(&process).await;
        backups.push((PathBuf::from(made["path"].as_str().unwrap()), made, before));
    }
    stopping.store(true, Ordering::Relaxed);
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
    let deliveries = next.load(Ordering::Relaxed);
    Arc::into_inner(process).unwrap().stop().await;
    for (path, made, before) in backups {
        assert_eq!(path.parent(), Some(elsewhere.path()), "{made}");
        let restored = restore(&path);
        let process = start(&restored, &["--archive-seconds", "1"]).await;
        check_everywhere(&process, &restored, &made, &before, deliveries).await;
        process.stop().await;
    }
}

/// Moves a backup into the place of a data folder, as docs/operations.md says.
fn restore(backup: &Path) -> TempDir {
    let place = TempDir::new().unwrap();
    fs::remove_dir(place.path()).unwrap();
    fs::rename(backup, place.path()).unwrap();
    place
}

async fn check_everywhere(
    process: &Process,
    folder: &TempDir,
    made: &Value,
    before: &BTreeSet<u32>,
    deliveries: u32,
) {
    let ledger = process
        .until("/api/ledger", |ledger| ledger["pending"] == 0)
        .await;
    assert_eq!(
        (&ledger["stored"], &ledger["difference"]),
        (&made["ticks"], &json!(0))
    );
    assert!(ledger["stored"].as_u64().unwrap() >= before.len() as u64 * u64::from(DELIVERY));
    // What was answered is a duplicate, in the store and in the archive.
    for number in before {
        let (status, answer) = process.deliver("ticks", delivery(*number)).await;
        assert_eq!(
            (status, &answer["duplicate"]),
            (200, &json!(DELIVERY)),
            "{answer}"
        );
    }
    // The senders deliver again what they have: all of it is there once.
    for number in (0..deliveries).filter(|number| !before.contains(number)) {
        assert_eq!(process.deliver("ticks", delivery(number)).await.0, 200);
    }
    let ticks = ticks_in(deliveries);
    process.analysed().await;
    let (_, ledger) = process.get("/api/ledger").await;
    for (name, expected) in [
        ("stored", ticks),
        ("stream_records", ticks),
        ("difference", 0),
    ] {
        assert_eq!(ledger[name], json!(expected), "{name}: {ledger}");
    }
    let (mut rows, mut trades) = (0, 0);
    for token in TOKENS {
        let path = format!("/api/ticks/{token}?limit=10000");
        rows += process.list(&path, "ticks").await.len();
        let path = format!("/api/candles/{token}?interval=1m&limit=10000");
        let candles = process.list(&path, "candles").await;
        let counts = candles
            .iter()
            .map(|candle| candle["trades"].as_u64().unwrap());
        trades += counts.sum::<u64>();
    }
    assert_eq!((rows as u64, trades), (u64::from(ticks), u64::from(ticks)));
    process.flush_archive().await;
    let archived = archived(folder.path());
    let ids: BTreeSet<&str> = archived.iter().map(|row| row.tick_id.as_str()).collect();
    assert_eq!(
        (archived.len(), ids.len()),
        (ticks as usize, ticks as usize)
    );
    let quarantined = quarantined(folder.path());
    let received: BTreeSet<String> = quarantined.iter().map(Value::to_string).collect();
    assert_eq!(received.len(), quarantined.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_needs_the_operators_token_and_takes_no_parameters() {
    let folder = TempDir::new().unwrap();
    let token = "open-sesame-open-sesame-open-sesame";
    let process = start(&folder, &["--operator-token", token]).await;
    let (status, answer) = process
        .send(process.post("/api/backup", String::new()))
        .await;
    assert_eq!((status, &answer["reason"]), (401, &json!("unauthorized")));
    for query in ["?path=/etc", "?name=../../x", "?to=x"] {
        let request = process.post(&format!("/api/backup{query}"), String::new());
        let (status, answer) = process.send(request.bearer_auth(token)).await;
        assert_eq!(status, 400, "{query}: {answer}");
    }
    let (status, answer) = process.get("/api/backup").await;
    assert_eq!(status, 405, "{answer}");
    assert!(!folder.path().join("backups").exists(), "nothing was made");
    let request = process.post("/api/backup", String::new());
    let (status, made) = process.send(request.bearer_auth(token)).await;
    assert_eq!(status, 200, "{made}");
    let path = Path::new(made["path"].as_str().unwrap());
    assert_eq!(path.parent(), Some(folder.path().join("backups").as_path()));
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_fails_says_so_and_the_process_goes_on() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a-file"), "").unwrap();
    let no_folder = folder.path().join("a-file");
    let process = start(&folder, &["--backup-dir", no_folder.to_str().unwrap()]).await;
    let (status, answer) = process
        .send(process.post("/api/backup", String::new()))
        .await;
    assert_eq!(status, 500, "{answer}");
    assert!(
        answer["detail"].as_str().unwrap().contains("the log"),
        "{answer}"
    );
    assert_eq!(process.deliver("ticks", ticks_body("BTC", 10)).await.0, 200);
    assert!(!folder.path().join("backup.staging").exists());
    process.stop().await;
}
