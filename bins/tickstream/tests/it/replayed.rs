//! What a tickstream has can be sent again: it changes nothing there, and gives a new one the same ticks and candles.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ticks::START_MS;

use crate::process::{Process, start};

/// Ticks of several sources, with everything that a tick may have.
async fn deliver_all(process: &Process) {
    let ticks: Vec<Value> = (0..90)
        .map(|n| {
            let at_ms = START_MS + n * 1_000;
            json!({
                "token": "BTC", "price": format!("0.{:020}1", n + 1), "volume": "0.250", "timestamp": at_ms, "id": n.to_string(),
                "source": "lab:one", "slot": n, "sequence": n, "method": "swap_event",
                "quality": if n % 9 == 0 { Some("low_precision") } else { None },
            })
        })
        .collect();
    process
        .deliver("ticks", Value::from(ticks).to_string())
        .await;
    // An oracle's price, and one whose source gives no time, so that its time is that of its receipt.
    let pyth = json!({"id": "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43",
        "price": {"price": "150", "conf": "1", "expo": -2, "publish_time": START_MS / 1_000}});
    process.deliver("pyth", pyth.to_string()).await;
    let jupiter = json!({"So11111111111111111111111111111111111111112": {"usdPrice": 147.5, "blockId": 1, "decimals": 9}});
    let (_, answer) = process.deliver("jupiter", jupiter.to_string()).await;
    assert_eq!(answer["stored"], 1, "{answer}");
    process.analysed().await;
}

/// The lines of the response.
async fn read_back(process: &Process, tokens: &[&str]) -> Vec<Value> {
    let body = json!({"from": 0, "to": i64::MAX, "tokens": tokens}).to_string();
    let response = process
        .post("/api/replay/ticks", body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn ticks_of(lines: &[Value]) -> Vec<Value> {
    let parts = lines
        .iter()
        .filter_map(|line| line["progress"]["ticks"].as_array());
    parts.flatten().cloned().collect()
}

/// What is the same in two tickstreams: all but the time of receipt.
async fn content(process: &Process, token: &str) -> Vec<Value> {
    let mut ticks = process
        .list(&format!("/api/ticks/{token}?limit=1000"), "ticks")
        .await;
    for tick in &mut ticks {
        tick.as_object_mut().unwrap().remove("ingested_at");
    }
    ticks
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_that_are_read_back_are_repeats_at_home_and_the_same_ticks_elsewhere() {
    let (home, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let process = start(&home, &[]).await;
    deliver_all(&process).await;
    let lines = read_back(&process, &[]).await;
    assert_eq!(lines.last(), Some(&json!({"result": {"ticks": 92}})));
    let ticks = ticks_of(&lines);
    let decided = lines[0]["progress"]["in_cohort"].as_array().unwrap();
    assert!(
        decided.iter().all(|it| *it == json!(true)) && decided.len() == 92,
        "{lines:?}"
    );
    let tokens = ["BTC", "So11111111111111111111111111111111111111112"];
    let candles = "/api/candles/BTC?interval=1m";
    let before = (
        process.list(candles, "candles").await,
        process.get("/api/ledger").await.1,
    );

    let (_, answer) = process
        .deliver("ticks", Value::from(ticks.clone()).to_string())
        .await;
    assert_eq!(
        (&answer["stored"], &answer["duplicate"]),
        (&json!(0), &json!(92)),
        "{answer}"
    );
    process.analysed().await;
    let ledger = process.get("/api/ledger").await.1;
    assert_eq!(ledger["stored"], before.1["stored"]);
    assert_eq!(ledger["stream_records"], before.1["stream_records"]);
    assert_eq!(ledger["difference"], 0);
    assert_eq!(process.list(candles, "candles").await, before.0);

    let other = start(&elsewhere, &[]).await;
    let (_, answer) = other.deliver("ticks", Value::from(ticks).to_string()).await;
    assert_eq!(
        (&answer["stored"], &answer["rejected"]),
        (&json!(92), &json!(0)),
        "{answer}"
    );
    other.analysed().await;
    for token in tokens {
        assert_eq!(
            content(&other, token).await,
            content(&process, token).await,
            "{token}"
        );
    }
    let rebuilt = other.list(candles, "candles").await;
    assert_eq!(rebuilt.len(), before.0.len());
    for (rebuilt, kept) in rebuilt.iter().zip(&before.0) {
        for member in [
            "start",
            "open",
            "high",
            "low",
            "close",
            "volume",
            "tick_count",
        ] {
            assert_eq!(rebuilt[member], kept[member], "{member}");
        }
    }
    other.stop().await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_into_the_stream_counts_nothing_twice() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &["--archive-seconds", "1"]).await;
    deliver_all(&process).await;
    assert_eq!(process.flush_archive().await.0, 200);
    let candles = "/api/candles/BTC?interval=1m";
    let state = async || {
        process.analysed().await;
        let ledger = process.get("/api/ledger").await.1;
        (
            process.list(candles, "candles").await,
            ledger["stream_records"].clone(),
        )
    };
    let before = state().await;
    let now_ms = runtime::clock::now_ms();
    // Ticks of the last seconds are left out, so some may not be meant yet.
    let replay = async |only_archived: bool| {
        let body = json!({"from_ms": 0, "to_ms": now_ms, "per_second_max": 1_000, "only_archived": only_archived});
        let request = process.post("/api/replay/stream", body.to_string());
        let text = request.send().await.unwrap().text().await.unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        last["result"].clone()
    };
    let settled =
        tokio::time::Duration::from_millis(ops::verify::DueAfter::HERE.stored_ms.unsigned_abs());
    tokio::time::sleep(settled).await;
    for only_archived in [false, true] {
        let report = replay(only_archived).await;
        let sent = json!({"new": 0, "duplicate": 92, "rejected": 0});
        assert_eq!(report["sent"], sent, "{only_archived}: {report}");
        assert_eq!(report["unseen"], json!([]), "{report}");
    }
    assert_eq!(state().await, before);
    for (body, status) in [
        (json!({"from_ms": 5, "to_ms": 5, "per_second_max": 1}), 400),
        (json!({"from_ms": 0, "to_ms": 5}), 400),
    ] {
        let (answered, problem) = process
            .send(process.post("/api/replay/stream", body.to_string()))
            .await;
        assert_eq!(answered, status, "{body}: {problem}");
    }
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_is_read_back_and_a_wrong_one_refused() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    deliver_all(&process).await;
    let lines = read_back(&process, &["So11111111111111111111111111111111111111112"]).await;
    assert_eq!(ticks_of(&lines).len(), 1);
    for body in [
        json!({"from": 5, "to": 5}),
        json!({"from": 5}),
        json!({"from": 5, "to": 6, "tokens": ["a b"]}),
        json!({"from": 5, "to": 6, "limit": 1}),
    ] {
        let (status, answer) = process
            .send(process.post("/api/replay/ticks", body.to_string()))
            .await;
        assert_eq!(status, 400, "{body}: {answer}");
    }
    process.stop().await;
}
