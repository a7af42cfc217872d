//! The live feed: the latest values on connect, what is new, and slow readers.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ticks::START_MS;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::process::{Process, WAIT_TIMEOUT, start, ticks_body};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn listen(process: &Process, query: &str) -> Socket {
    let url = format!("{}/ws{query}", process.url.replace("http://", "ws://"));
    tokio_tungstenite::connect_async(url).await.unwrap().0
}

/// The next snapshot, or the next message of updates that has a list of this kind.
async fn next(socket: &mut Socket, kind: &str) -> Value {
    let reading = async {
        loop {
            let message = socket.next().await.unwrap().unwrap();
            if let Message::Text(text) = message {
                let value: Value = serde_json::from_str(&text).unwrap();
                if value["type"] == kind || value["type"] == "updates" && value[kind].is_array() {
                    return value;
                }
            }
        }
    };
    tokio::time::timeout(WAIT_TIMEOUT, reading)
        .await
        .unwrap_or_else(|_| panic!("no {kind}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_gets_the_latest_and_then_what_is_new() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    process.deliver("ticks", ticks_body("BTC", 5)).await;
    process.deliver("ticks", ticks_body("ETH", 5)).await;
    let mut all = listen(&process, "").await;
    let mut some = listen(&process, "?tokens=ETH").await;
    assert_eq!(
        next(&mut all, "snapshot").await["ticks"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let snapshot = next(&mut some, "snapshot").await;
    assert_eq!(snapshot["ticks"].as_array().unwrap().len(), 1);
    assert_eq!(snapshot["ticks"][0]["timestamp"], START_MS + 4_000);

    process.deliver("ticks", ticks_body("BTC", 50)).await;
    process.deliver("ticks", ticks_body("ETH", 50)).await;
    let mut counted = 0;
    while counted < 90 {
        let ticks = next(&mut all, "ticks").await;
        assert!(
            ticks["ticks"].as_array().unwrap().len() <= 2,
            "one per pair"
        );
        counted += ticks["counts"]["ticks"].as_u64().unwrap();
    }
    let ticks = next(&mut some, "ticks").await;
    assert_eq!(ticks["ticks"][0]["token"], "ETH");
    let candles = next(&mut some, "candles").await;
    assert!(
        candles["candles"]
            .as_array()
            .unwrap()
            .iter()
            .all(|candle| candle["token"] == "ETH")
    );
    next(&mut all, "averages").await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anomaly_reaches_the_reader_and_the_list() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let mut socket = listen(&process, "?tokens=CALM").await;
    next(&mut socket, "snapshot").await;
    let tick = |n: i64, price: String| json!({"token": "CALM", "price": price, "timestamp": START_MS + n * 1_000, "id": n.to_string()});
    let mut ticks: Vec<_> = (0..600)
        .map(|n| tick(n, format!("100.{:02}", n * 7 % 10)))
        .collect();
    ticks.push(tick(601, "150".to_owned()));
    process
        .deliver("ticks", Value::from(ticks).to_string())
        .await;
    let message = next(&mut socket, "anomalies").await;
    assert_eq!(message["anomalies"][0]["price"], "150");
    let listed = process.list("/api/anomalies?token=CALM", "anomalies").await;
    assert_eq!(listed.len(), 1);
    let jump = &listed[0];
    assert!(jump["score"].as_f64() >= Some(0.5));
    assert_eq!(
        (&jump["kind"], &jump["direction"]),
        (&json!("jump"), &json!("up"))
    );
    assert_eq!(
        (&jump["source"], &jump["quantity"]),
        (&json!("ticks:api"), &json!("value"))
    );
    assert_eq!(jump["seen"].as_f64().unwrap().round(), 150.0);
    assert!(
        (jump["expected"].as_f64().unwrap() - 100.0).abs() < 0.2,
        "{jump}"
    );

    // A person says that it was none, and wants to see no others of this pair.
    let mark = |who: &str| json!({"token": "CALM", "quote": jump["quote"], "timestamp": jump["timestamp"], "tick_id": jump["tick_id"], "false_alarm": true, "who": who});
    let (status, answer) = process.put("/api/anomalies/mark", mark(" ")).await;
    assert_eq!(status, 400, "{answer}");
    let (status, answer) = process.put("/api/anomalies/mark", mark("ada")).await;
    assert_eq!((status, &answer["false_alarm"]), (200, &json!(true)));
    let mut other = mark("ada");
    other["timestamp"] = json!(START_MS);
    assert_eq!(process.put("/api/anomalies/mark", other).await.0, 404);
    let mute =
        |token: &str| json!({"token": token, "quote": jump["quote"], "muted": true, "who": "ada"});
    assert_eq!(
        process.put("/api/anomalies/mute", mute("NOBODY")).await.0,
        404
    );
    let (status, answer) = process.put("/api/anomalies/mute", mute("CALM")).await;
    assert_eq!(
        (status, &answer["muted"][0]["token"]),
        (200, &json!("CALM"))
    );
    let (_, listed) = process.get("/api/anomalies?token=CALM").await;
    assert_eq!(listed["anomalies"][0]["false_alarm"]["who"], "ada");
    assert_eq!(listed["muted"][0]["who"], "ada");
    let (_, review) = process.get("/api/anomalies/review").await;
    assert_eq!(
        review["kinds"],
        json!([{"kind": "jump", "found": 1, "false_alarms": 1}])
    );
    process.stop().await;
}

/// The round number of the oldest tick in a message.
fn oldest_round(message: &Value) -> i64 {
    let ticks = message["ticks"].as_array().unwrap().iter();
    let rounds = ticks.map(|tick| (tick["timestamp"].as_i64().unwrap() - START_MS) / 1_000);
    rounds.min().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_delays_nobody() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let tokens: Vec<_> = (0..400)
        .map(|n| format!("TOKEN-WITH-A-LONG-NAME-{n:030}"))
        .collect();
    let round = |round: i64| {
        let ticks: Vec<_> = tokens.iter().map(|token| json!({"token": token, "price": round + 1, "timestamp": START_MS + round * 1_000})).collect();
        Value::from(ticks).to_string()
    };
    process.deliver("ticks", round(0)).await;
    let mut lazy = listen(&process, "").await;
    next(&mut lazy, "snapshot").await;
    let mut keen = listen(&process, "").await;
    // Far more than a connection's buffers and the frames that are kept for it.
    let mut rounds = 0;
    let mut fell_behind = None;
    let mut read_at = Instant::now();
    while fell_behind.is_none() && rounds < 600 {
        rounds += 1;
        process.deliver("ticks", round(rounds)).await;
        // Read up to this round, so no frame of it or earlier is still to be sent.
        let mut seen = next(&mut keen, "ticks").await;
        while oldest_round(&seen) < rounds {
            seen = next(&mut keen, "ticks").await;
        }
        // On a busy machine sooner: a reader that accepts nothing for 30 s is cut off.
        if rounds % 80 == 0 || read_at.elapsed() > Duration::from_secs(10) {
            let reading = async {
                loop {
                    let snapshot = next(&mut lazy, "snapshot").await;
                    if snapshot["missed"].as_u64() > Some(0) {
                        return snapshot;
                    }
                }
            };
            fell_behind = tokio::time::timeout(Duration::from_secs(5), reading)
                .await
                .ok();
            read_at = Instant::now();
        }
    }
    let snapshot = fell_behind.expect("the slow reader gets a snapshot of the latest values");
    assert_eq!(snapshot["ticks"].as_array().unwrap().len(), tokens.len());
    let known = oldest_round(&snapshot);
    assert!(known > 0, "{known}");
    process.deliver("ticks", round(rounds + 1)).await;
    let mut seen = known;
    while seen <= rounds {
        seen = oldest_round(&next(&mut lazy, "ticks").await);
        assert!(seen >= known, "round {seen} after round {known}");
    }
    lazy.close(None).await.ok();
    keen.send(Message::Close(None)).await.ok();
    process.stop().await;
}
