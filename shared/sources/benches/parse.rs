//! How fast deliveries are parsed: our own JSON in bodies of 500, trades of exchanges, and a Helius
//! delivery; and the largest bodies, valid ones and those that are made up to take long.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use sources::ParseContext;

#[path = "../tests/it/work/made_up.rs"]
mod made_up;

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
    largest(&mut criterion, &context);
    criterion.final_summary();
}

/// Bodies of the largest size: none may take more than 100 ms.
fn largest(criterion: &mut Criterion, context: &ParseContext<'_>) {
    let made_up = made_up::shapes().into_iter().map(|shape| {
        let body = (shape.body)(made_up::BODY_BYTES);
        let end = if shape.is_refused { ", refused" } else { "" };
        (format!("{}{end}", shape.name), shape.source, body)
    });
    let valid = made_up::largest_valid().into_iter();
    let valid = valid.map(|(source, body)| ("valid".to_owned(), source, body));
    let busy = (
        "everybody trades with everybody".to_owned(),
        "helius",
        made_up::beyond_the_limit(),
    );
    let mut group = criterion.benchmark_group("largest");
    group.sample_size(10);
    for (name, source, body) in valid.chain([busy]).chain(made_up) {
        let Some(source) = sources::find(source) else {
            continue;
        };
        group.bench_function(format!("{}: {name}", source.name()), |bench| {
            bench.iter(|| source.parse(black_box(body.as_bytes()), context));
        });
    }
    group.finish();
}
