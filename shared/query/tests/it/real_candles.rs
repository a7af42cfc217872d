//! Binance's own one-minute candles follow exactly from its trades in the order of their numbers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use archive::Archive;
use domain::{Method, Price, SourceName, Tick, TickId, Token, Volume};
use rust_decimal::Decimal;
use testkit::golden::sql_folder;
use testkit::real::payload;

use crate::answer::{open, rows};
use crate::golden::parameters::Parameters;

fn trades(path: &Path) -> Vec<Tick> {
    let text = fs::read_to_string(path).unwrap();
    let trade = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let [time, number, _, price, amount] = fields.as_slice() else {
            panic!("{line}");
        };
        let timestamp_ms = time.parse().unwrap();
        Tick {
            tick_id: TickId::derive("binance", &["XRPETH", number]),
            token: Token::new("XRP").unwrap(),
            quote: Token::new("ETH").unwrap(),
            price: Price::parse(price).unwrap(),
            volume: Some(Volume::parse(amount).unwrap()),
            timestamp_ms,
            ingested_at_ms: timestamp_ms + 100,
            source: SourceName::new("binance:spot").unwrap(),
            slot: None,
            method: Method::Trade,
            sequence: Some(number.parse().unwrap()),
            quality: None,
        }
    };
    text.lines().skip(1).map(trade).collect()
}

/// Start → open, high, low, close and volume, as decimals.
type Candles = BTreeMap<String, [Decimal; 5]>;

fn published(path: &Path) -> Candles {
    let text = fs::read_to_string(path).unwrap();
    let candle = |line: &str| {
        let (time, values) = line.split_once(',').unwrap();
        let start = chrono::DateTime::from_timestamp_millis(time.parse().unwrap()).unwrap();
        let values: Vec<Decimal> = values.split(',').map(|v| v.parse().unwrap()).collect();
        (
            format!("{:?}", start.naive_utc()),
            values.try_into().unwrap(),
        )
    };
    text.lines().skip(1).map(candle).collect()
}

/// The candles of the named query.
async fn queried(data: &Path) -> Candles {
    let file = fs::read_to_string(sql_folder().join("queries/candles.sql")).unwrap();
    let given = [
        ("token", "XRP"),
        ("from", "2019-10-01"),
        ("to", "2019-11-01"),
    ];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let query = Parameters::of(&file, &BTreeMap::from(given)).rendered(&file);
    let found = rows(&open(data).await, &query).await;
    let candle = |row: &serde_json::Value| {
        let value = |name: &str| -> Decimal {
            let double = row[name].as_f64().unwrap();
            // The sum of doubles has an error in its last digits.
            double
                .to_string()
                .parse::<Decimal>()
                .unwrap()
                .round_dp(8)
                .normalize()
        };
        let values = ["open", "high", "low", "close", "volume"].map(value);
        (row["start"].as_str().unwrap().to_owned(), values)
    };
    found.as_array().unwrap().iter().map(candle).collect()
}

#[tokio::test]
async fn the_candles_of_real_trades_are_those_of_the_exchange() {
    let (Some(trades_csv), Some(candles_csv)) = (
        payload("market/binance_xrp_eth_trades.csv"),
        payload("market/binance_xrp_eth_1m.csv"),
    ) else {
        return;
    };
    let trades = trades(&trades_csv);
    let expected = published(&candles_csv);
    assert_eq!((trades.len(), expected.len()), (12_477, 2_469));
    // In files of every seventh trade each, so that no file has the order of the trades.
    let data = tempfile::tempdir().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    for shard in 0..7 {
        let every_seventh = trades.iter().skip(usize::from(shard)).step_by(7);
        let mut part: Vec<Tick> = every_seventh.cloned().collect();
        part.reverse();
        archive.write_range(shard, 0, 9_999, &part).unwrap();
    }
    let check = |found: &Candles| {
        assert_eq!(found.len(), expected.len());
        for (start, values) in &expected {
            let normalized = values.map(|value| value.normalize());
            assert_eq!(found.get(start), Some(&normalized), "{start}");
        }
    };
    check(&queried(data.path()).await);
    // All of them twice.
    archive.write_range(7, 0, 99_999, &trades).unwrap();
    check(&queried(data.path()).await);
}
