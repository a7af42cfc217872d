//! Deliveries of providers and the settings of their sources, from the sender's view.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, start};

const BTC: &str = "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43";
const UNKNOWN: &str = "abababababababababababababababababababababababababababababababab";

async fn delivered(process: &Process, source: &str, body: &Value) -> Value {
    let (status, answer) = process.deliver(source, body.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn feed(id: &str, conf: u64, slot: u64) -> Value {
    json!({
        "id": id,
        "price": {"price": "10000", "conf": conf.to_string(), "expo": -2, "publish_time": 1_772_841_600},
        "ema_price": {"price": "1", "conf": "1", "expo": -2, "publish_time": 1_772_841_600},
        "metadata": {"slot": slot},
    })
}

fn trades() -> Value {
    json!([
        {"e": "trade", "s": "BTCUSDT", "t": 1, "p": "1", "q": "1", "T": 1_772_841_600_000_i64},
        {"e": "aggTrade", "s": "BTCUSDT", "a": 1, "p": "1", "q": "1", "T": 1_772_841_600_000_i64},
        {"stream": "bnbusdt@bookTicker", "data": {"u": 1, "s": "BNBUSDT", "b": "1", "B": "1", "a": "2", "A": "1"}},
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_response_says_why_entries_were_ignored() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let answer = delivered(&process, "binance", &trades()).await;
    let reasons = json!({
        "a best bid and ask": 1,
        "an aggregate: `trade` messages count (BINANCE_TRADES)": 1,
    });
    assert_eq!(answer["ignored_by_reason"], reasons, "{answer}");
    let counts = (&answer["stored"], &answer["ignored"], &answer["rejected"]);
    assert_eq!(counts, (&json!(1), &json!(2), &json!(0)), "{answer}");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_those_of_the_process() {
    let folder = TempDir::new().unwrap();
    let own = format!("{UNKNOWN}=OIL/EUR");
    let settings = [
        "--binance-trades",
        "spot=aggTrade",
        "--pyth-feeds",
        &own,
        "--pyth-wide-confidence",
        "0.01",
    ];
    let process = start(&folder, &settings).await;
    let answer = delivered(&process, "binance", &trades()).await;
    let reason = "a single trade: `aggTrade` messages count (BINANCE_TRADES)";
    assert_eq!(answer["ignored_by_reason"][reason], 1, "{answer}");
    let answer = delivered(&process, "pyth", &json!([feed(UNKNOWN, 2, 1)])).await;
    assert_eq!(answer["stored"], 1, "{answer}");
    let (_, latest) = process.get("/api/ticks/OIL/latest?quote=EUR").await;
    assert_eq!(latest["quality"], "wide_confidence", "{latest}");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_without_a_currency_is_refused_and_a_wide_price_is_not_in_candles() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let feeds = json!([feed(UNKNOWN, 1, 1), feed(BTC, 1, 1), feed(BTC, 9_999, 2)]);
    let answer = delivered(&process, "pyth", &feeds).await;
    assert_eq!(
        (&answer["stored"], &answer["rejected"]),
        (&json!(2), &json!(1)),
        "{answer}"
    );
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("PYTH_FEEDS"), "{message}");
    process.analysed().await;
    let range = "from=2026-03-07T00:00:00Z&to=2026-03-08T00:00:00Z";
    let ticks = process
        .list(&format!("/api/ticks/BTC?{range}"), "ticks")
        .await;
    let mut marks: Vec<_> = ticks.iter().map(|tick| tick["quality"].as_str()).collect();
    marks.sort_unstable();
    assert_eq!(marks, [None, Some("wide_confidence")]);
    let path = format!("/api/candles/BTC?interval=1m&{range}");
    let candles = process.list(&path, "candles").await;
    assert_eq!(candles.len(), 1, "{candles:?}");
    assert_eq!(candles[0]["ticks"], 1, "{candles:?}");
    process.stop().await;
}
