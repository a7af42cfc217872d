//! What one tick costs the analysis: `cargo bench -p domain`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use domain::analytics::{AnalysisConfig, PairState};
use domain::{Method, Price, SourceName, Tick, TickId, Token, Volume};
use rust_decimal::Decimal;

/// Ticks that fill every window, every ring and the detector before the measurement.
const WARM_UP_TICKS: u64 = 20_000;

/// Ticks in a measured round.
const ROUND_TICKS: u64 = 1_000;

/// Tick number `n` of a pair that trades every `interval_us`, with a price that rises and falls by
/// up to one percent.
fn tick(n: u64, interval_us: i64) -> Option<Tick> {
    let step = i64::try_from(n * 7_919 % 2_003).ok()?;
    let timestamp_ms = 1_700_000_000_000 + interval_us * i64::try_from(n).ok()? / 1_000;
    Some(Tick {
        tick_id: TickId::derive("bench", &[&n.to_string()]),
        token: Token::new("So11111111111111111111111111111111111111112").ok()?,
        quote: Token::new("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v").ok()?,
        price: Price::new(Decimal::new(18_345_000_000 + 90_000 * step, 8)).ok()?,
        volume: Volume::new(Decimal::new(1_000_000 + 12_347 * step, 9)).ok(),
        timestamp_ms,
        ingested_at_ms: timestamp_ms,
        source: SourceName::new("bench:bench").ok()?,
        slot: None,
        method: Method::Trade,
        sequence: None,
        quality: None,
    })
}

/// A state after the warm-up, and the next ticks.
fn prepared(interval_us: i64) -> Option<(PairState, Vec<Tick>)> {
    let ticks: Option<Vec<Tick>> = (0..WARM_UP_TICKS).map(|n| tick(n, interval_us)).collect();
    let ticks = ticks?;
    let first = ticks.first()?;
    let mut state = PairState::new(first.token.clone(), first.quote.clone());
    for tick in &ticks {
        drop(black_box(state.apply(tick, &AnalysisConfig::default())));
    }
    let next: Option<Vec<Tick>> = (WARM_UP_TICKS..WARM_UP_TICKS + ROUND_TICKS)
        .map(|n| tick(n, interval_us))
        .collect();
    Some((state, next?))
}

/// Applies the ticks to copies of the state.
fn measure(criterion: &mut Criterion, name: &str, state: &PairState, ticks: &[Tick]) {
    let config = AnalysisConfig::default();
    let mut group = criterion.benchmark_group("apply");
    group.throughput(Throughput::Elements(ticks.len() as u64));
    group.bench_function(name, |bencher| {
        bencher.iter_batched_ref(
            || state.clone(),
            |state| {
                for tick in ticks {
                    drop(black_box(state.apply(tick, &config)));
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn apply(criterion: &mut Criterion) -> Option<()> {
    let cases = [
        ("in order, 4,000 a second", 250),
        ("in order, 100 a second", 10_000),
        ("in order, one in 2 s", 2_000_000),
    ];
    for (name, interval_us) in cases {
        let (state, next) = prepared(interval_us)?;
        measure(criterion, name, &state, &next);
    }
    let (state, mut next) = prepared(10_000)?;
    for tick in &mut next {
        tick.timestamp_ms -= 30_000;
    }
    measure(criterion, "30 s late", &state, &next);
    let mut state = state;
    for tick in &next {
        drop(black_box(state.apply(tick, &AnalysisConfig::default())));
    }
    let duplicates = next.get(next.len() - 500..)?;
    measure(criterion, "duplicates (500)", &state, duplicates);
    Some(())
}

fn read_and_store(criterion: &mut Criterion) -> Option<()> {
    let (state, _) = prepared(10_000)?;
    criterion.bench_function("averages", |bencher| {
        bencher.iter(|| black_box(state.averages().collect::<Vec<_>>()));
    });
    let stored = postcard::to_stdvec(&state).ok()?;
    criterion.bench_function("store", |bencher| {
        bencher.iter(|| postcard::to_stdvec(black_box(&state)));
    });
    criterion.bench_function("load", |bencher| {
        bencher.iter(|| postcard::from_bytes::<PairState>(black_box(&stored)));
    });
    Some(())
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    // None only if a constant above is not a valid price or name.
    assert!(apply(&mut criterion).is_some());
    assert!(read_and_store(&mut criterion).is_some());
    criterion.final_summary();
}
