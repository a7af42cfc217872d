//! The API's responses: counts, replays, lists, and secrets.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ticks::START_MS;

use crate::archived::archived;
use crate::process::{start, ticks_body};

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_counted_stored_and_read_back() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let (status, answer) = process.deliver("ticks", ticks_body("BTC", 120)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["received"], &answer["stored"], &answer["streamed"]),
        (&json!(120), &json!(120), &json!(120))
    );
    assert_eq!(answer["errors"], json!([]));

    let (_, again) = process.deliver("ticks", ticks_body("BTC", 120)).await;
    assert_eq!(
        (&again["stored"], &again["duplicate"]),
        (&json!(0), &json!(120)),
        "a replay stores no tick twice"
    );

    let ticks = process.list("/api/ticks/BTC?limit=3", "ticks").await;
    let prices: Vec<_> = ticks
        .iter()
        .map(|tick| tick["price"].as_str().unwrap())
        .collect();
    assert_eq!(
        prices,
        ["117.5", "118.5", "119.5"],
        "the latest three, in order"
    );
    let from = START_MS + 5_000;
    let ticks = process
        .list(
            &format!("/api/ticks/BTC?from={from}&to=2026-01-01T00:00:08Z"),
            "ticks",
        )
        .await;
    assert_eq!(
        ticks.len(),
        3,
        "a time is epoch milliseconds or RFC 3339, and `to` is exclusive"
    );
    let (_, latest) = process.get("/api/ticks/BTC/latest").await;
    assert_eq!(latest["timestamp"], START_MS + 119_000);
    assert_eq!(latest["version"], "1.1");

    process.analysed().await;
    let candles = process
        .list("/api/candles/BTC?interval=1m", "candles")
        .await;
    assert_eq!(candles.len(), 2);
    assert_eq!(
        (&candles[0]["open"], &candles[0]["close"]),
        (&json!("100.5"), &json!("109.5"))
    );
    assert_eq!(
        (&candles[0]["trades"], &candles[0]["volume"]),
        (&json!(60), &json!("15"))
    );
    let averages = process.list("/api/averages/BTC", "averages").await;
    assert_eq!(
        averages
            .iter()
            .map(|row| &row["window"])
            .collect::<Vec<_>>(),
        ["1m", "5m", "1h"]
    );
    assert_eq!(averages[2]["ticks"], 120);
    assert_eq!(process.list("/api/tokens", "tokens").await.len(), 1);

    let (status, flushed) = process.flush_archive().await;
    assert_eq!((status, &flushed["ticks"]), (200, &json!(120)), "{flushed}");
    let rows = archived(folder.path());
    let high = rows.iter().map(|row| row.price).fold(0.0, f64::max);
    assert_eq!((rows.len(), high), (120, 149.5));
    let (status, flushed) = process.flush_archive().await;
    assert_eq!((status, flushed), (200, json!({"ticks": 0, "files": 0})));
    let (_, ledger) = process.get("/api/ledger").await;
    assert_eq!(
        (
            &ledger["received"],
            &ledger["difference"],
            &ledger["stream_records"]
        ),
        (&json!(240), &json!(0), &json!(120))
    );
    let metrics = process
        .http
        .get(format!("{}/metrics", process.url))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("tickstream_stored_total 120"), "{metrics}");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_be_compressed_and_begin_with_a_byte_order_mark() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let send = async |coding: &'static str, body: Vec<u8>| {
        let request = process.post("/webhooks/ticks", body);
        process
            .send(request.header("content-encoding", coding))
            .await
    };
    let body = format!("\u{feff}{}", ticks_body("BTC", 3)).into_bytes();
    let (status, answer) = process.deliver("ticks", body.clone()).await;
    assert_eq!((status, &answer["stored"]), (200, &json!(3)), "{answer}");
    let compressed = gzip(&body);
    for (coding, body) in [
        ("Identity", &body),
        ("gzip", &compressed),
        ("GZIP", &compressed),
        ("X-Gzip", &compressed),
        ("identity, gzip", &compressed),
    ] {
        let (status, answer) = send(coding, body.clone()).await;
        assert_eq!(
            (status, &answer["duplicate"]),
            (200, &json!(3)),
            "{coding}: {answer}"
        );
    }
    let bomb = gzip(&vec![b' '; 2 * webhook::BODY_BYTES_MAX]);
    assert_eq!(send("gzip", bomb).await.0, 413);
    let (status, answer) = send("br", body.clone()).await;
    assert_eq!(status, 415, "{answer}");
    let (status, answer) = send("gzip", compressed[..compressed.len() - 1].to_vec()).await;
    assert_eq!(
        (status, &answer["reason"]),
        (400, &json!("unreadable_body")),
        "{answer}"
    );
    let kept = &process.list("/api/quarantine", "quarantine").await[0];
    assert_eq!(kept["raw_bytes"], compressed.len() - 1, "as it was sent");
    let (_, ledger) = process.get("/api/ledger").await;
    assert_eq!(ledger["difference"], 0, "{ledger}");
    process.stop().await;
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candle_has_the_volumes_of_its_ticks_or_none() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let tick = |token: &str, second: i64, volume: Value| {
        let time = START_MS + second * 1_000;
        json!({"token": token, "price": "2", "timestamp": time, "volume": volume})
    };
    let mut body = vec![
        tick("SOME", 0, json!("1.5")),
        tick("ZERO", 0, json!("0")),
        json!({"token": "SOME", "price": "2", "timestamp": START_MS + 1_000}),
        json!({"token": "NONE", "price": "2", "timestamp": START_MS}),
        json!({"token": "NONE", "price": "3", "timestamp": START_MS + 1_000}),
    ];
    // A later tick closes the minute.
    body.extend(["SOME", "ZERO", "NONE"].map(|token| tick(token, 60, json!("7"))));
    let (status, answer) = process.deliver("ticks", json!(body).to_string()).await;
    assert_eq!((status, &answer["stored"]), (200, &json!(8)), "{answer}");
    process.analysed().await;
    for (token, volume, has_vwap) in [
        ("SOME", json!("1.5"), true),
        ("ZERO", json!("0"), false),
        ("NONE", Value::Null, false),
    ] {
        for interval in ["1s", "1m"] {
            let path = format!("/api/candles/{token}?interval={interval}");
            let candle = &process.list(&path, "candles").await[0];
            assert_eq!(candle["volume"], volume, "{candle}");
            assert_eq!(candle["vwap"].is_number(), has_vwap, "{candle}");
        }
    }
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_filtered_by_quote_before_the_limit_and_symbols_stand_for_mints() {
    let (sol, usdc) = (
        domain::aliases::SOL_MINT,
        domain::aliases::mint_of("USDC").unwrap(),
    );
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let tick = |n: i64, quote: &str| json!({"token": sol, "quote": quote, "price": 100 + n, "timestamp": START_MS + n * 60_000, "id": n.to_string()});
    let mut ticks = vec![tick(0, usdc)];
    ticks.extend((1..200).map(|n| tick(n, "EUR")));
    let body = serde_json::Value::from(ticks).to_string();
    assert_eq!(process.deliver("ticks", body).await.1["stored"], 200);
    process.analysed().await;
    for quote in [usdc, "USDC", "usdc"] {
        let path = |list: &str, more: &str| format!("/api/{list}/SOL{more}quote={quote}");
        let found = process.list(&path("ticks", "?limit=1&"), "ticks").await;
        assert_eq!(found.len(), 1, "{quote}");
        assert_eq!(found[0]["quote"], usdc);
        let found = process.list(&path("candles", "?limit=1&"), "candles").await;
        assert_eq!(found.len(), 1, "{quote}");
        assert_eq!(found[0]["close"], "100");
        let found = process.list(&path("averages", "?"), "averages").await;
        assert!(found.iter().all(|row| row["quote"] == usdc) && !found.is_empty());
        let (_, latest) = process.get(&path("ticks", "/latest?")).await;
        assert_eq!(latest["price"], "100", "{quote}");
    }
    let (_, latest) = process.get("/api/ticks/SOL/latest").await;
    assert_eq!(
        latest["quote"], "EUR",
        "without a quote, the newest of all quotes"
    );
    for list in ["ticks", "candles", "averages"] {
        let (status, answer) = process.get(&format!("/api/{list}/SOL?quote=GBP")).await;
        assert_eq!(status, 404, "{answer}");
        assert!(
            answer["detail"].as_str().unwrap().contains("EUR"),
            "{answer}"
        );
    }
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_is_served_with_a_strict_policy() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let response = process.http.get(&process.url).send().await.unwrap();
    assert!(
        response.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'self'")
    );
    let tag = response.headers()["etag"].clone();
    let page = response.text().await.unwrap();
    assert!(page.contains("<title>tickstream"));
    for part in page.split('"').filter(|part| part.starts_with("/assets/")) {
        let response = process
            .http
            .get(format!("{}{part}", process.url))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{part}");
    }
    let held = process
        .http
        .get(&process.url)
        .header("if-none-match", tag)
        .send()
        .await
        .unwrap();
    assert_eq!(held.status(), 304);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_come_in_pages_and_a_token_alone() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    for token in ["C", "A", "B", "D"] {
        process.deliver("ticks", ticks_body(token, 2)).await;
    }
    let (mut seen, mut path) = (Vec::new(), "/api/tokens?limit=3".to_owned());
    loop {
        let (status, page) = process.get(&path).await;
        assert_eq!(status, 200, "{page}");
        let tokens = page["tokens"].as_array().unwrap();
        assert!(tokens.len() <= 3, "{page}");
        seen.extend(tokens.iter().map(|pair| pair["token"].clone()));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/tokens?limit=3&after={next}");
    }
    assert_eq!(seen, ["A", "B", "C", "D"]);
    let one = process.list("/api/tokens?token=B", "tokens").await;
    assert_eq!(one.len(), 1);
    assert_eq!(one[0]["token"], "B");
    let none = process.list("/api/tokens?token=E", "tokens").await;
    assert!(none.is_empty());
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_market_feeds_the_whole_flow() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &["--demo"]).await;
    process
        .until("/api/tokens", |answer| {
            answer["tokens"]
                .as_array()
                .is_some_and(|tokens| tokens.len() >= 3)
        })
        .await;
    process
        .until("/api/ledger", |ledger| {
            ledger["stored"].as_u64() > Some(500) && ledger["duplicate"].as_u64() > Some(0)
        })
        .await;
    let (_, ledger) = process.get("/api/ledger").await;
    assert_eq!(ledger["difference"], 0, "{ledger}");
    for pair in process.list("/api/tokens", "tokens").await {
        let source = pair["source"].as_str().unwrap();
        assert!(source.starts_with("demo:"), "{pair}");
    }
    process.stop().await;
}
