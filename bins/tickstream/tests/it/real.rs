//! Real payloads, if they are available.

use serde_json::json;
use tempfile::TempDir;
use testkit::real::payload;

use crate::archived::archived;
use crate::process::start;

#[tokio::test(flavor = "multi_thread")]
async fn the_real_helius_file_gives_its_six_swaps() {
    let Some(path) = payload("helius/enhanced_55tx_dashy-staging.json") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    for (stored, duplicate) in [(6, 0), (0, 6)] {
        let (status, answer) = process
            .deliver("helius", std::fs::read(&path).unwrap())
            .await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(
            (&answer["received"], &answer["ignored"], &answer["rejected"]),
            (&json!(50), &json!(44), &json!(0)),
            "{answer}"
        );
        assert_eq!(
            (&answer["stored"], &answer["duplicate"]),
            (&json!(stored), &json!(duplicate))
        );
    }
    let ticks = process.list("/api/ticks/SOL", "ticks").await;
    assert_eq!(ticks.len(), 6, "a known symbol stands for its mint");
    for tick in &ticks {
        let price: f64 = tick["price"].as_str().unwrap().parse().unwrap();
        assert!(
            (120.0..190.0).contains(&price),
            "USDC per SOL in 2024: {tick}"
        );
        assert_eq!(tick["method"], "swap_event");
        assert_eq!(
            tick["quote"],
            "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
        );
    }
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
