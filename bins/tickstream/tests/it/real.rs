//! Real payloads, if they are available.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::real::payload;

use crate::archived::archived;
use crate::process::start;

#[tokio::test(flavor = "multi_thread")]
async fn the_real_helius_file_gives_its_seven_swaps() {
    let Some(path) = payload("helius/enhanced_55tx_dashy-staging.json") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    for (stored, duplicate) in [(7, 0), (0, 7)] {
        let (status, answer) = process
            .deliver("helius", std::fs::read(&path).unwrap())
            .await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(
            (&answer["received"], &answer["ignored"], &answer["rejected"]),
            (&json!(50), &json!(43), &json!(0)),
            "{answer}"
        );
        assert_eq!(
            (&answer["stored"], &answer["duplicate"]),
            (&json!(stored), &json!(duplicate))
        );
    }
    let ticks = process.list("/api/ticks/SOL", "ticks").await;
    assert_eq!(ticks.len(), 7, "a known symbol stands for its mint");
    for tick in &ticks {
        let price: f64 = tick["price"].as_str().unwrap().parse().unwrap();
        assert!(
            (120.0..190.0).contains(&price),
            "USDC per SOL in 2024: {tick}"
        );
        assert_eq!(
            tick["quote"],
            "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
        );
    }
    // One has another type than SWAP, and no event.
    let by_event = ticks.iter().filter(|tick| tick["method"] == "swap_event");
    assert_eq!(by_event.count(), 6);
    let newest = ticks.last().unwrap();
    assert_eq!(newest["price"], "132.79846", "13.279846 USDC for 0.1 SOL");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_binance_trades_are_in_store_stream_and_archive() {
    let Some(path) = payload("trades/binance-BTCUSDT-2021-01-08.csv") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let file = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<&str>> = file
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(rows.len(), 2_001);
    for replay in 0..2 {
        for chunk in rows.chunks(100) {
            let trades: Vec<_> = chunk
                .iter()
                .map(|row| {
                    let time: i64 = row[4].parse().unwrap();
                    let id: u64 = row[0].parse().unwrap();
                    json!({"e": "trade", "E": time, "T": time, "s": "BTCUSDT", "t": id, "p": row[1], "q": row[2]})
                })
                .collect();
            let (status, answer) = process.deliver("binance", json!(trades).to_string()).await;
            assert_eq!(
                (status, &answer["rejected"]),
                (200, &json!(0)),
                "replay {replay}: {answer}"
            );
        }
    }
    process.analysed().await;
    let (_, ledger) = process.get("/api/ledger").await;
    assert_eq!(
        (
            &ledger["stored"],
            &ledger["duplicate"],
            &ledger["stream_records"],
            &ledger["difference"]
        ),
        (&json!(2_001), &json!(2_001), &json!(2_001), &json!(0))
    );
    let candles = process
        .list("/api/candles/BTC?interval=1s&limit=10000", "candles")
        .await;
    assert_eq!(
        candles
            .iter()
            .map(|candle| candle["trades"].as_u64().unwrap())
            .sum::<u64>(),
        2_001
    );
    let price = |row: &&Vec<&str>| row[1].parse::<f64>().unwrap();
    let high = rows.iter().map(|row| price(&row)).fold(0.0, f64::max);
    process.flush_archive().await;
    let mut of_day = archived(folder.path());
    of_day.retain(|row| row.date == (2021, 1, 8));
    let highest = of_day.iter().map(|row| row.price).fold(0.0, f64::max);
    assert_eq!((of_day.len(), highest), (2_001, high));
    process.stop().await;
}

/// 12,477 trades of one pair, of which 2,490 share a millisecond with the one before, and the exchange's
/// own 2,469 candles of a minute: ours equal them in every field, delivered in order, shuffled within
/// the allowed lateness, and twice.
#[tokio::test(flavor = "multi_thread")]
async fn the_candles_of_real_trades_are_the_exchanges() {
    let (Some(trades), Some(candles)) = (
        payload("market/binance_xrp_eth_trades.csv"),
        payload("market/binance_xrp_eth_1m.csv"),
    ) else {
        return;
    };
    let rows = |path| -> Vec<Vec<String>> {
        let file = std::fs::read_to_string(path).unwrap();
        let fields = |line: &str| line.split(',').map(str::to_owned).collect();
        file.lines().skip(1).map(fields).collect()
    };
    let number = |text: &str| text.parse::<Decimal>().unwrap().normalize();
    let expected: Vec<(i64, [Decimal; 5])> = rows(candles)
        .iter()
        .map(|row| {
            (
                row[0].parse().unwrap(),
                [1, 2, 3, 4, 5].map(|at| number(&row[at])),
            )
        })
        .collect();
    assert_eq!(expected.len(), 2_469);
    let trades: Vec<(i64, Value)> = rows(trades)
        .iter()
        .map(|row| {
            let time_ms: i64 = row[0].parse().unwrap();
            let id: u64 = row[1].parse().unwrap();
            let trade = json!({
                "e": "trade", "E": time_ms, "T": time_ms, "s": "XRPETH", "t": id,
                "p": row[3], "q": row[4],
            });
            (time_ms, trade)
        })
        .collect();
    assert_eq!(trades.len(), 12_477);
    let mut shuffled: Vec<(i64, Value)> = (0_i64..)
        .zip(&trades)
        .map(|(index, (time_ms, trade))| (time_ms + index * 7_919 % 60_000, trade.clone()))
        .collect();
    shuffled.sort_by_key(|(at_ms, _)| *at_ms);
    let twice: Vec<(i64, Value)> = trades.iter().chain(&shuffled).cloned().collect();
    for (name, order) in [
        ("in order", trades),
        ("shuffled", shuffled),
        ("twice", twice),
    ] {
        let folder = TempDir::new().unwrap();
        let process = start(&folder, &[]).await;
        for chunk in order.chunks(500) {
            let body: Vec<&Value> = chunk.iter().map(|(_, trade)| trade).collect();
            let (status, answer) = process.deliver("binance", json!(body).to_string()).await;
            assert_eq!((status, &answer["rejected"]), (200, &json!(0)), "{answer}");
        }
        process.analysed().await;
        let path = "/api/candles/XRP?interval=1m&limit=10000";
        let found: Vec<(i64, [Decimal; 5])> = process
            .list(path, "candles")
            .await
            .iter()
            .map(|candle| {
                let field = |name: &str| number(candle[name].as_str().unwrap());
                let fields = ["open", "high", "low", "close", "volume"].map(field);
                (candle["start"].as_i64().unwrap(), fields)
            })
            .collect();
        let different = found
            .iter()
            .zip(&expected)
            .filter(|(one, other)| one != other)
            .count();
        assert_eq!((found.len(), different), (expected.len(), 0), "{name}");
        process.stop().await;
    }
}
