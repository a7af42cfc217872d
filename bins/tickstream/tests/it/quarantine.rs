//! Quarantined entries are replayed once their cause is fixed, and what became of each is recorded.

use app::quarantine_review::QUARANTINED_HEADER;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ticks::START_MS;

use crate::process::{Process, start};

const FEED: &str = "abababababababababababababababababababababababababababababababab";

/// One price of a feed that is not in the built-in table, and one that no fix can read.
fn delivery() -> String {
    let seconds = START_MS / 1_000;
    let price = json!({"price": "150", "conf": "1", "expo": -2, "publish_time": seconds});
    let mut wrong = price.clone();
    wrong["price"] = "-150".into();
    let feeds = json!([{"id": FEED, "price": price}, {"id": FEED, "price": wrong}]);
    feeds.to_string()
}

async fn replay(process: &Process, ids: &[&str]) -> (u16, Value) {
    let body = json!({"ids": ids, "who": "ann"}).to_string();
    let request = process.post("/api/quarantine/replay", body);
    process.send(request).await
}

async fn counts(process: &Process) -> Value {
    let (_, ledger) = process.get("/api/ledger").await;
    assert_eq!(ledger["difference"], 0);
    json!([
        ledger["received"],
        ledger["stored"],
        ledger["duplicate"],
        ledger["rejected"],
        ledger["quarantined"]
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_fix_entries_become_ticks_once_and_their_outcomes_are_kept() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    process.deliver("pyth", delivery()).await;
    let unknown = process
        .list(
            "/api/quarantine?reason=invalid_token&source=pyth",
            "quarantine",
        )
        .await;
    let listed = process
        .list("/api/quarantine?source=pyth", "quarantine")
        .await;
    assert_eq!((unknown.len(), listed.len()), (1, 2));
    let ids: Vec<&str> = listed
        .iter()
        .rev()
        .map(|it| it["id"].as_str().unwrap())
        .collect();
    assert_eq!(counts(&process).await, json!([2, 0, 0, 2, 2]));
    // Nothing is fixed yet: nothing is counted or quarantined a second time.
    let (status, answer) = replay(&process, &ids).await;
    assert_eq!(status, 200, "{answer}");
    for (at, reason) in ["invalid_token", "invalid_price"].into_iter().enumerate() {
        let replayed = &answer["outcomes"][at]["replayed"];
        assert_eq!(replayed["outcome"], "still_malformed", "{answer}");
        assert_eq!(replayed["reason"], reason, "{answer}");
    }
    assert_eq!(counts(&process).await, json!([2, 0, 0, 2, 2]));
    process.stop().await;

    let fixed = format!("{FEED}=OIL/EUR");
    let process = start(&folder, &["--pyth-feeds", &fixed]).await;
    for (outcome, after) in [
        ("stored", json!([3, 1, 0, 2, 2])),
        ("duplicate", json!([4, 1, 1, 2, 2])),
    ] {
        let (_, answer) = replay(&process, &ids).await;
        let of = |at: usize| answer["outcomes"][at]["replayed"].clone();
        assert_eq!(
            (&of(0)["outcome"], &of(0)["ticks"]),
            (&json!(outcome), &json!(1))
        );
        assert_eq!(of(1)["reason"], "invalid_price", "{answer}");
        assert_eq!(counts(&process).await, after);
    }
    let ticks = process.list("/api/ticks/OIL", "ticks").await;
    assert_eq!(ticks.len(), 1);
    let (_, shown) = process.get(&format!("/api/quarantine/{}", ids[0])).await;
    // The repeat, which found the tick stored, does not hide who stored it.
    assert_eq!(shown["replayed"]["outcome"], "stored");
    assert_eq!(shown["replayed"]["who"], "ann");
    assert_eq!(
        shown["reason"], "invalid_token",
        "the entry stays as it was received"
    );
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replayed_is_refused_or_says_why() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let long = json!({"token": "BTC", "price": "x".repeat(5_000), "timestamp": START_MS});
    process.deliver("ticks", long.to_string()).await;
    let listed = process.list("/api/quarantine", "quarantine").await;
    let id = listed[0]["id"].as_str().unwrap();
    let (_, answer) = replay(&process, &[id, "1-99", "../x"]).await;
    let why = |at: usize| answer["outcomes"][at]["replayed"]["why"].to_string();
    assert!(why(0).contains("only 4096 of its"), "{answer}");
    assert!(why(1).contains("no such entry"), "{answer}");
    assert!(why(2).contains("no such entry"), "{answer}");
    for body in [
        json!({"ids": [], "who": "ann"}),
        json!({"ids": [id], "who": " "}),
        json!({"ids": [id]}),
        json!({"ids": vec![id; 101], "who": "ann"}),
        json!({"ids": [id], "who": "ann", "force": true}),
    ] {
        let request = process.post("/api/quarantine/replay", body.to_string());
        let (status, answer) = process.send(request).await;
        assert_eq!(status, 400, "{body}: {answer}");
    }
    for (path, expected) in [
        ("/api/quarantine?reason=odd", 400),
        ("/api/quarantine?from=yesterday", 400),
        ("/api/quarantine/1-99", 404),
    ] {
        assert_eq!(process.get(path).await.0, expected, "{path}");
    }
    process.stop().await;
}

/// What `tickctl quarantine replay` sends on AWS: the same as a delivery, with a header.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_from_the_quarantine_is_not_quarantined_again() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    for (source, status, reason) in [
        ("pyth", 400, "invalid_token"),
        ("odd", 404, "unknown_source"),
    ] {
        let request = process.post(&format!("/webhooks/{source}"), delivery());
        let request = request.header(QUARANTINED_HEADER, "1");
        let (seen, answer) = process.send(request).await;
        assert_eq!(
            (seen, answer["reason"].as_str()),
            (status, Some(reason)),
            "{answer}"
        );
    }
    assert_eq!(counts(&process).await, json!([0, 0, 0, 0, 0]));
    process.stop().await;
}
