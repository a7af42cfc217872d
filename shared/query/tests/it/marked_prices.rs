//! Prices that their `quality` marks as unfit for candles are left out of the named queries about prices.

use std::collections::BTreeMap;
use std::fs;

use archive::Archive;
use domain::{Price, Quality, Tick};
use testkit::golden::sql_folder;
use testkit::ticks::{START_MS, tick};

use crate::answer::{open, rows};
use crate::golden::parameters::Parameters;

/// A price a second, which rises by steps of 0.01 and then stays, with one of 9,999 at the end of an interval
/// of ten seconds.
fn ticks(marked: Option<Quality>) -> Vec<Tick> {
    let at = |n: u32, price: &str, quality| Tick {
        price: Price::parse(price).unwrap(),
        quality,
        ..tick("BTC", n)
    };
    let mut ticks: Vec<Tick> = (0..69)
        .map(|n| at(n, &format!("100.{n:02}"), None))
        .collect();
    ticks.push(at(69, "9999", marked));
    ticks.extend((70..120).map(|n| at(n, "100.7", None)));
    ticks
}

async fn answer(ticks: &[Tick], query: &str) -> String {
    let data = tempfile::tempdir().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    archive.write_range(0, 0, 999, ticks).unwrap();
    let file = fs::read_to_string(sql_folder().join(format!("queries/{query}.sql"))).unwrap();
    let day = |days: i64| {
        let time = chrono::DateTime::from_timestamp_millis(START_MS + days * 86_400_000).unwrap();
        time.date_naive().to_string()
    };
    let given = [
        ("token", "BTC".to_owned()),
        ("from", day(0)),
        ("to", day(1)),
        ("interval_s", "10".to_owned()),
    ];
    let given = given.map(|(name, value)| (name.to_owned(), value));
    let given: BTreeMap<_, _> = (given.into_iter())
        .filter(|(name, _)| file.contains(&format!("@param {name} ")))
        .collect();
    let query = Parameters::of(&file, &given).rendered(&file);
    rows(&open(data.path()).await, &query).await.to_string()
}

#[tokio::test]
async fn marked_prices_are_not_in_the_answers() {
    let without: Vec<Tick> = ticks(None)
        .into_iter()
        .filter(|tick| tick.price.to_f64() < 9_999.0)
        .collect();
    for query in [
        "candles",
        "vwap",
        "volatility",
        "top_movers",
        "anomalies_around",
    ] {
        let expected = answer(&without, query).await;
        for quality in Quality::ALL {
            assert_eq!(
                answer(&ticks(Some(quality)), query).await,
                expected,
                "{query}"
            );
        }
        assert_ne!(answer(&ticks(None), query).await, expected, "{query}");
    }
}
