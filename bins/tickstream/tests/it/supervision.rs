//! Consumers that fail: they are seen, restarted, and poison does not stop them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use app::ports::TickStream as _;
use serde_json::{Value, json};
use store::{EmbeddedConfig, EmbeddedStore};
use tempfile::TempDir;
use testkit::ticks::tick;

use crate::archived::archived;
use crate::process::{Process, start, start_with, ticks_body};

async fn metric(process: &Process, name: &str) -> String {
    let text = process.http.get(format!("{}/metrics", process.url));
    let text = text.send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} is not in {text}"))
        .trim()
        .to_owned()
}

fn health_of(status: &Value, consumer: &str) -> Value {
    let health = status["health"].as_array().unwrap();
    let found = health.iter().find(|it| it["name"] == consumer);
    found.unwrap().clone()
}

#[tokio::test]
async fn a_consumer_that_panics_is_restarted_and_seen() {
    let folder = TempDir::new().unwrap();
    let (starts, works) = (
        Arc::new(AtomicU32::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let process = start_with(&folder, &[], |server| {
        let (starts, works) = (Arc::clone(&starts), Arc::clone(&works));
        server.supervise("fragile", move |progress, stopping| {
            starts.fetch_add(1, Ordering::Relaxed);
            let works = Arc::clone(&works);
            async move {
                assert!(works.load(Ordering::Relaxed), "a panic of the test");
                progress.made();
                stopping.cancelled().await;
                Ok(())
            }
        });
    })
    .await;
    let down = process
        .until("/api/status", |status| {
            health_of(status, "fragile")["restarts"].as_u64() >= Some(2)
        })
        .await;
    let fragile = health_of(&down, "fragile");
    assert_eq!(fragile["up"], false);
    assert!(fragile["down_since"].is_u64(), "{fragile}");
    let (status, health) = process.get("/healthz").await;
    assert_eq!((status, &health["reason"]), (503, &json!("consumer_down")));
    let detail = health["detail"].as_str().unwrap();
    assert!(detail.contains(" down: fragile. "), "{detail}");
    let up = |name| metric(&process, name);
    assert_eq!(
        up("tickstream_consumer_up{consumer=\"fragile\"}").await,
        "0"
    );
    for name in [
        "analytics-0",
        "analytics-1",
        "analytics-2",
        "analytics-3",
        "archive",
        "quarantine",
        "anomalies",
        "outbox",
        "live",
        "metrics",
        "retention",
    ] {
        let line = format!("tickstream_consumer_up{{consumer=\"{name}\"}}");
        assert_eq!(metric(&process, &line).await, "1", "{name}");
    }
    // The others work.
    let (status, _) = process.deliver("ticks", ticks_body("BTC", 5)).await;
    assert_eq!(status, 200);
    process.analysed().await;

    works.store(true, Ordering::Relaxed);
    process
        .until("/healthz", |health| health["status"] == "ok")
        .await;
    let restarts = metric(
        &process,
        "tickstream_consumer_restarts_total{consumer=\"fragile\"}",
    );
    assert_eq!(
        restarts.await.parse::<u32>().unwrap(),
        starts.load(Ordering::Relaxed) - 1
    );
    assert_eq!(
        up("tickstream_consumer_up{consumer=\"fragile\"}").await,
        "1"
    );
    process.stop().await;
}

/// No delivery can have such a time. It is in the stream as if an earlier release had accepted it.
#[tokio::test]
async fn a_tick_that_cannot_be_archived_does_not_stop_the_process() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(&EmbeddedConfig::new(folder.path().join("store"))).unwrap();
    let poison = domain::Tick {
        timestamp_ms: i64::MAX,
        ..tick("BTC", 1)
    };
    store
        .append(&[&tick("BTC", 0), &poison], None)
        .await
        .unwrap();
    store.close();

    let process = start(&folder, &["--archive-seconds", "1"]).await;
    let (status, _) = process.deliver("ticks", ticks_body("BTC", 5)).await;
    assert_eq!(status, 200);
    process
        .until("/api/status", |status| {
            status["consumers"]
                .as_array()
                .unwrap()
                .iter()
                .all(|it| it["lag_records"] == 0)
        })
        .await;
    process
        .until("/healthz", |health| health["status"] == "ok")
        .await;
    let kept = process.list("/api/quarantine", "quarantine").await;
    let archive: Vec<&Value> = kept.iter().filter(|it| it["source"] == "archive").collect();
    let [entry] = archive.as_slice() else {
        panic!("{kept:?}")
    };
    assert_eq!(
        (&entry["reason"], &entry["severity"]),
        (&json!("unprocessable"), &json!("critical"))
    );
    assert!(
        entry["raw"]
            .as_str()
            .unwrap()
            .contains("9223372036854775807"),
        "{entry}"
    );
    let set_aside = metric(
        &process,
        "tickstream_consumer_set_aside_total{consumer=\"archive\"}",
    );
    assert_eq!(set_aside.await, "1");
    let (_, ledger) = process.get("/api/ledger").await;
    assert_eq!(ledger["difference"], 0, "{ledger}");
    process.stop().await;
    assert_eq!(archived(folder.path()).len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_is_down_while_its_folder_is_in_the_way() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &["--archive-seconds", "1"]).await;
    let up = r#"tickstream_consumer_up{consumer="archive"}"#;
    assert_eq!(process.get("/healthz").await.0, 200);
    assert_eq!(metric(&process, up).await, "1");

    // A file in the place of the archive's folder.
    let table = archive::table_folder(folder.path());
    let aside = folder.path().join("aside");
    std::fs::rename(&table, &aside).unwrap();
    std::fs::write(&table, "in the way").unwrap();
    assert_eq!(process.deliver("ticks", ticks_body("BTC", 5)).await.0, 200);
    process
        .until("/api/status", |status| {
            health_of(status, "archive")["up"] == false
        })
        .await;
    let (status, health) = process.get("/healthz").await;
    assert_eq!(status, 503);
    assert!(
        health["detail"].as_str().unwrap().contains("archive"),
        "{health}"
    );
    assert_eq!(metric(&process, up).await, "0");
    let others = r#"tickstream_consumer_up{consumer="outbox"}"#;
    assert_eq!(metric(&process, others).await, "1");

    std::fs::remove_file(&table).unwrap();
    std::fs::rename(&aside, &table).unwrap();
    process
        .until("/healthz", |health| health["status"] == "ok")
        .await;
    assert_eq!(metric(&process, up).await, "1");
    process.stop().await;
}
