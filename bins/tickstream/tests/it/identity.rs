//! Ticks that share an id are one event only if pair and time agree, in store, candles and archive.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::archived::archived;
use crate::process::{Process, start};

/// The number of ticks in all candles of a token.
async fn in_candles(process: &Process, token: &str) -> u64 {
    let path = format!("/api/candles/{token}?interval=1m&limit=10000");
    let candles = process.list(&path, "candles").await;
    let counts = candles.iter().map(|candle| candle["trades"].as_u64());
    counts.map(Option::unwrap).sum()
}

async fn delivered(process: &Process, source: &str, body: &Value, stored: u64) {
    for (stored, duplicate) in [(stored, 0), (0, stored)] {
        let (status, answer) = process.deliver(source, body.to_string()).await;
        let counts = (&answer["stored"], &answer["duplicate"]);
        assert_eq!(status, 200, "{answer}");
        assert_eq!(counts, (&json!(stored), &json!(duplicate)), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trades_of_two_markets_with_the_same_numbers_are_all_kept() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let trade = |number: i64, price: &str, time: i64| json!({"e": "trade", "s": "COLUSDT", "t": number, "p": price, "q": "1.5", "T": time});
    let spot = json!([
        trade(41, "30.1", 1_598_918_400_000),
        trade(42, "30.2", 1_598_918_401_000)
    ]);
    let futures = json!([
        trade(41, "29.9", 1_580_515_200_000),
        trade(42, "29.8", 1_580_515_201_000)
    ]);
    delivered(&process, "binance", &spot, 2).await;
    delivered(&process, "binance-usdm", &futures, 2).await;
    process.analysed().await;
    let path = "/api/ticks/COL?from=2020-01-01T00:00:00Z&to=2021-01-01T00:00:00Z";
    let ticks = process.list(path, "ticks").await;
    let seen: Vec<_> = ticks
        .iter()
        .map(|tick| (&tick["source"], &tick["sequence"]))
        .collect();
    let (spot, futures) = (json!("binance:spot"), json!("binance:usdm"));
    let (first, second) = (json!(41), json!(42));
    assert_eq!(
        seen,
        [
            (&futures, &first),
            (&futures, &second),
            (&spot, &first),
            (&spot, &second)
        ]
    );
    assert_eq!(in_candles(&process, "COL").await, 4);
    process.flush_archive().await;
    assert_eq!(archived(folder.path()).len(), 4);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_number_their_trades_alike_keep_all_of_them() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let entry = |token: &str, id: i64| json!({"token": token, "price": "1", "timestamp": 1_772_841_600_000_i64, "id": id.to_string()});
    let tokens = ["A", "B", "C"];
    let entries: Vec<Value> = (tokens.iter())
        .flat_map(|token| [1, 2, 3].map(|id| entry(token, id)))
        .collect();
    delivered(&process, "ticks", &json!(entries), 9).await;
    let at = |time: i64| json!({"token": "T", "price": "1", "timestamp": time, "id": "order-1"});
    let twice = json!([at(1_772_841_600_000), at(1_772_841_600_001)]);
    delivered(&process, "ticks", &twice, 2).await;
    process.analysed().await;
    for (token, ticks) in [("A", 3), ("B", 3), ("C", 3), ("T", 2)] {
        assert_eq!(in_candles(&process, token).await, ticks, "{token}");
    }
    process.flush_archive().await;
    assert_eq!(archived(folder.path()).len(), 11);
    process.stop().await;
}
