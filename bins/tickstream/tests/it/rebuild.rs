//! Candles of a running process are compared with its ticks.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ticks::START_MS;

use crate::process::{start, ticks_body};

#[tokio::test(flavor = "multi_thread")]
async fn candles_with_ticks_of_the_last_minute_are_left_alone() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    process.deliver("ticks", ticks_body("BTC", 90)).await;
    process.analysed().await;
    let body = json!({"from": START_MS, "to": START_MS + 90_000, "tokens": ["BTC"], "apply": true});
    let response = process
        .post("/api/rebuild", body.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = lines.pop().unwrap();
    // Each line can be read as what it says, also one that is written before the first token is done.
    assert!(
        lines.iter().all(|line| line["progress"]["ticks"].is_u64()),
        "{text}"
    );
    let report = &last["result"];
    assert_eq!(
        (&report["tokens"], &report["ticks"]),
        (&json!(1), &json!(90)),
        "{text}"
    );
    // 90 of a second, 2 of a minute, and 1 each of five minutes and an hour.
    assert_eq!(
        (&report["growing"], &report["replaced"]),
        (&json!(94), &json!(0)),
        "{text}"
    );
    for body in [
        json!({"from": 5, "to": 5}),
        json!({"from": 5, "to": 6, "dry_run": true}),
    ] {
        let (status, answer) = process
            .send(process.post("/api/rebuild", body.to_string()))
            .await;
        assert_eq!(status, 400, "{body}: {answer}");
    }
    process.stop().await;
}
