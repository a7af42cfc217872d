//! How long encoding and decoding a tick takes, as JSON and as the binary record.

use std::hint::black_box;

use codec::{binary, json};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::{Method, Price, SourceName, Tick, TickId, Token, Volume};

const BLOCK_TICKS: u64 = 500;

fn tick(number: u64) -> Option<Tick> {
    let number = number.to_string();
    Some(Tick {
        tick_id: TickId::derive("helius", &[&number]),
        token: Token::new("DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263").ok()?,
        quote: Token::new("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v").ok()?,
        price: Price::parse("0.00001913482756").ok()?,
        volume: Some(Volume::parse("120394.55103").ok()?),
        timestamp_ms: 1_790_000_000_123,
        ingested_at_ms: 1_790_000_000_456,
        source: SourceName::new("helius:raydium").ok()?,
        slot: Some(398_123_456),
        method: Method::SwapEvent,
        sequence: None,
        quality: None,
    })
}

fn benches(criterion: &mut Criterion) {
    let ticks: Vec<Tick> = (0..BLOCK_TICKS).filter_map(tick).collect();
    let Some(one) = ticks.first() else { return };
    let mut record = Vec::new();
    binary::encode(one, &mut record);
    let mut text = Vec::new();
    json::write_json(one, &mut text);

    let mut group = criterion.benchmark_group("tick");
    let mut out = Vec::with_capacity(1024);
    group.bench_function("binary encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            binary::encode(black_box(one), &mut out);
        });
    });
    group.bench_function("binary decode", |bencher| {
        bencher.iter(|| binary::decode(black_box(&record)).is_ok());
    });
    group.bench_function("json write", |bencher| {
        bencher.iter(|| {
            out.clear();
            json::write_json(black_box(one), &mut out);
        });
    });
    group.bench_function("json read", |bencher| {
        bencher.iter(|| json::from_json(black_box(&text)).is_ok());
    });
    group.finish();

    let block = binary::encode_block(&ticks);
    let mut group = criterion.benchmark_group("block of 500");
    group.throughput(Throughput::Elements(BLOCK_TICKS));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| binary::encode_block(black_box(&ticks)));
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| binary::decode_block(black_box(&block)).is_ok());
    });
    group.finish();
}

criterion_group!(tick_benches, benches);
criterion_main!(tick_benches);
