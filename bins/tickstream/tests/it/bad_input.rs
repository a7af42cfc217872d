//! Malformed input: the response names the entry and the rule, the entry is quarantined, and its
//! neighbours are stored.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ticks::START_MS;

use crate::archived::quarantined;
use crate::process::{Process, start, ticks_body};

async fn check_entry(process: &Process, entry: &str, reason: &str) {
    let good = |token: &str| json!({"token": token, "price": "1", "timestamp": START_MS, "id": format!("{token}{entry}")});
    let body = format!("[{},{entry},{}]", good("LEFT"), good("RIGHT"));
    let (status, answer) = process.deliver("ticks", body).await;
    assert_eq!(status, 200, "{entry}: {answer}");
    assert_eq!(
        (&answer["stored"], &answer["rejected"]),
        (&json!(2), &json!(1)),
        "{entry}: {answer}"
    );
    assert_eq!(
        (
            &answer["errors"][0]["index"],
            &answer["errors"][0]["reason"]
        ),
        (&json!(1), &json!(reason)),
        "{entry}: {answer}"
    );
    assert!(!answer["errors"][0]["message"].as_str().unwrap().is_empty());
    let kept = &process.list("/api/quarantine?limit=1", "quarantine").await[0];
    assert_eq!(kept["reason"], reason);
    assert_eq!(kept["raw"], entry);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_entry_never_fails_its_neighbours() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let t = START_MS;
    for (entry, reason) in [
        (
            format!(r#"{{"token":"A","timestamp":{t}}}"#),
            "missing_field",
        ),
        (
            format!(r#"{{"token":"A","price":-1,"timestamp":{t}}}"#),
            "invalid_price",
        ),
        (
            format!(r#"{{"token":"A","price":0,"timestamp":{t}}}"#),
            "invalid_price",
        ),
        (
            format!(r#"{{"token":"A","price":"NaN","timestamp":{t}}}"#),
            "invalid_price",
        ),
        (
            format!(r#"{{"token":"A","price":1e400,"timestamp":{t}}}"#),
            "invalid_price",
        ),
        (
            format!(r#"{{"token":"A","price":{{}},"timestamp":{t}}}"#),
            "wrong_type",
        ),
        (
            format!(r#"{{"token":"A","price":1,"price":2,"timestamp":{t}}}"#),
            "duplicate_field",
        ),
        (
            format!(r#"{{"token":"","price":1,"timestamp":{t}}}"#),
            "invalid_token",
        ),
        (
            format!(r#"{{"token":"A","price":1,"volume":-1,"timestamp":{t}}}"#),
            "invalid_volume",
        ),
        (
            r#"{"token":"A","price":1,"timestamp":1}"#.to_owned(),
            "invalid_timestamp",
        ),
        (
            r#"{"token":"A","price":1,"timestamp":99999999999999}"#.to_owned(),
            "future_timestamp",
        ),
        (r#"{"token":"A","price":1}"#.to_owned(), "missing_field"),
        (
            format!(r#"{{"token":"A","price":1,"timestamp":{t},"tick_id":"short"}}"#),
            "invalid_id",
        ),
        (
            format!(r#"{{"token":"USD","price":1,"timestamp":{t}}}"#),
            "invalid_token",
        ),
        ("[[[[]]]]".to_owned(), "wrong_type"),
        ("7".to_owned(), "wrong_type"),
    ] {
        check_entry(&process, &entry, reason).await;
    }
    let (_, ledger) = process.get("/api/ledger").await;
    assert_eq!(
        (
            &ledger["difference"],
            &ledger["rejected"],
            &ledger["quarantined"]
        ),
        (&json!(0), &json!(16), &json!(16))
    );
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_body_is_refused_and_quarantined() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let deep = "[".repeat(200_000);
    for (source, body, status, reason) in [
        ("ticks", b"{".to_vec(), 400, Some("unreadable_body")),
        ("ticks", Vec::new(), 400, Some("unreadable_body")),
        ("ticks", b"\xff\xfe".to_vec(), 400, Some("invalid_utf8")),
        ("ticks", deep.into_bytes(), 400, Some("unreadable_body")),
        ("helius", b"not json".to_vec(), 400, Some("unreadable_body")),
        ("nobody", b"{}".to_vec(), 404, Some("unknown_source")),
        ("ticks", b"[\0{\0".to_vec(), 400, Some("invalid_utf8")),
        ("ticks", vec![b' '; webhook::BODY_BYTES_MAX + 1], 413, None),
    ] {
        let before = process.get("/api/ledger").await.1["quarantined"]
            .as_u64()
            .unwrap();
        let size = body.len();
        let (seen, answer) = process.deliver(source, body).await;
        assert_eq!(seen, status, "{source} {size} bytes: {answer}");
        assert!(
            answer["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty()),
            "{answer}"
        );
        assert_eq!(answer["status"], status);
        let (_, ledger) = process.get("/api/ledger").await;
        if let Some(reason) = reason {
            assert_eq!(answer["reason"], reason);
            assert_eq!(ledger["quarantined"], before + 1);
            assert_eq!(
                process.list("/api/quarantine?limit=1", "quarantine").await[0]["raw_bytes"],
                size
            );
        }
        assert_eq!(ledger["difference"], 0);
    }
    let url = format!("{}/webhooks/ticks", process.url);
    let form = process
        .http
        .post(url)
        .header("content-type", "text/plain")
        .body(ticks_body("A", 1));
    let response = form.send().await.unwrap();
    assert_eq!(response.status(), 415);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_parameters_are_refused() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    process.deliver("ticks", ticks_body("BTC", 3)).await;
    for (path, status, part) in [
        ("/api/ticks/NOBODY", 404, "BTC"),
        ("/api/ticks/BTC?limit=0", 400, "limit"),
        ("/api/ticks/BTC?limit=all", 400, "limit"),
        ("/api/ticks/BTC?from=yesterday", 400, "RFC 3339"),
        ("/api/ticks/BTC?from=2&to=1", 400, "after"),
        ("/api/candles/BTC?interval=7m", 400, "1m"),
        ("/api/ticks/BTC?form=2", 400, "`from`"),
        ("/api/ticks/BTC/latest?limit=1", 400, "`quote`"),
        ("/api/anomalies?quote=USD", 400, "`token`"),
        ("/ws?token=BTC", 400, "`tokens`"),
        ("/ws", 400, "WebSocket"),
        ("/api/tokens?quote=USD", 400, "`quote` is not a parameter"),
        ("/api/tokens?after=BTC", 400, "a pair such as BTC/USD"),
        ("/api/tokens?limit=0", 400, "limit"),
        ("/api/status?x=1", 400, "this path has none"),
        ("/api/ledger?x=1", 400, "this path has none"),
        ("/api/rollout?x=1", 400, "this path has none"),
        ("/api/quarantine?token=BTC", 400, "`limit`"),
        ("/api/ticks/BTC?limit=1&limit=2", 400, "is repeated"),
        ("/api/anomalies?token=NOBODY", 404, "BTC"),
        ("/api/nothing", 404, "/api"),
        ("/webhooks/ticks", 405, "method"),
    ] {
        let (seen, answer) = process.get(path).await;
        assert_eq!(seen, status, "{path}: {answer}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{path}: {answer}");
        assert!(!detail.contains("deserialize"), "{path}: {answer}");
    }
    let (status, answer) = process.get("/api/anomalies?token=BTC").await;
    assert_eq!((status, &answer["anomalies"]), (200, &json!([])));
    let (status, answer) = process.get("/api/archive/flush").await;
    assert_eq!(status, 405, "{answer}");
    let (status, answer) = process.get("/api/query").await;
    assert_eq!(status, 404, "{answer}");
    let (status, answer) = process.put_rollout(Value::Null).await;
    assert_eq!(status, 400, "{answer}");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_completed_even_if_its_sender_hangs_up() {
    use tokio::io::AsyncWriteExt;
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let address = process.url.trim_start_matches("http://").to_owned();
    for n in 0..20 {
        let body = ticks_body(&format!("GONE{n}"), 200);
        let head = format!(
            "POST /webhooks/ticks HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(body.as_bytes()).await.unwrap();
        drop(socket);
    }
    let ledger = process
        .until("/api/ledger", |ledger| {
            ledger["pending"] == 0 && ledger["stored"] == ledger["streamed"]
        })
        .await;
    assert_eq!(ledger["difference"], 0, "{ledger}");
    process.stop().await;
}

/// The quarantine is a table for `ticksql`.
#[tokio::test(flavor = "multi_thread")]
async fn quarantined_entries_are_in_the_files_of_the_table() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &["--archive-seconds", "1"]).await;
    let (status, _) = process
        .deliver(
            "ticks",
            r#"[{"token": "A", "price": -1}, {"price": 1}]"#.to_owned(),
        )
        .await;
    assert_eq!(status, 200);
    let expected = ["invalid_price", "missing_field"];
    let asking = async {
        loop {
            let entries = quarantined(folder.path());
            let mut reasons: Vec<_> = entries.iter().map(|entry| &entry["reason"]).collect();
            reasons.sort_by_key(|reason| reason.as_str());
            if reasons == expected {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let within = std::time::Duration::from_secs(30);
    tokio::time::timeout(within, asking).await.unwrap();
}
