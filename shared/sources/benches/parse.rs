//! How fast deliveries are parsed: our own JSON in bodies of 500, trades of exchanges, and a Helius
//! delivery.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use sources::ParseContext;

const NOW_MS: i64 = 1_795_000_000_000;

/// Entries of one `ticks` delivery, as `tickctl load` sends them.
const TICKS: usize = 500;

fn list(entry: impl Fn(usize) -> String) -> String {
    format!("[{}]", (0..TICKS).map(entry).collect::<Vec<_>>().join(","))
}

fn main() {
    let ticks = list(|n| {
        format!(
            r#"{{"token":"TOKEN{}","quote":"USD","price":"39432.{:04}","volume":"0.{n:06}","timestamp":{},"source":"load:tickctl","id":"run-17-{n}"}}"#,
            n % 50,
            n % 10_000,
            1_760_000_000_000_u64 + n as u64,
        )
    });
    let derived = list(|n| {
        format!(
            r#"{{"token":"BTC","price":39432.48,"volume":0.5,"timestamp":{}}}"#,
            1_760_000_000_000_u64 + n as u64,
        )
    });
    let binance = list(|n| {
        format!(
            r#"{{"e":"trade","E":1760000000111,"s":"BTCUSDT","t":{n},"p":"39432.48","q":"0.000263","b":1,"a":2,"T":1760000000110,"m":true,"M":true}}"#,
        )
    });
    let helius = include_str!("../tests/fixtures/helius/two_hops_and_split_routes.json");

    let context = ParseContext::at(NOW_MS);
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("parse");
    for (name, source, body) in [
        ("ticks_with_ids", "ticks", ticks.as_str()),
        ("ticks_derived_ids", "ticks", &derived),
        ("binance_trades", "binance", &binance),
        ("helius_net_balances", "helius", helius),
    ] {
        let Some(source) = sources::find(source) else {
            continue;
        };
        let entries = source
            .parse(body.as_bytes(), &context)
            .map_or(0, |entries| entries.len());
        assert!(entries > 0, "{name} is readable");
        group.throughput(Throughput::Elements(entries as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| source.parse(black_box(body.as_bytes()), &context));
        });
    }
    group.finish();
    criterion.final_summary();
}
