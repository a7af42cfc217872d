//! What one value costs the detector, with 1,000 series side by side: `cargo bench -p domain --bench detector`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use domain::detection::{DetectionConfig, SeriesDetector};

/// Series that are observed in turn: their states do not fit into a core's own cache.
const SERIES: usize = 1_000;

/// Values of each series in front of the measurement.
const WARM_UP: i64 = 500;

/// A price that rises and falls, different for each series and time.
fn price(series: usize, round: i64) -> f64 {
    let step = (series as u64)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(round.unsigned_abs().wrapping_mul(0xBF58_476D_1CE4_E5B9));
    let noise = f64::from(u16::try_from(step >> 48).unwrap_or_default()) / 65_536.0;
    100.0 + noise * 0.05
}

fn observe(detectors: &mut [SeriesDetector], round: i64, interval_ms: i64) {
    for (series, detector) in detectors.iter_mut().enumerate() {
        let ms = 1_700_000_000_000 + round * interval_ms;
        black_box(detector.observe(ms, price(series, round), &DetectionConfig::PRICES));
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("observe");
    group.throughput(Throughput::Elements(SERIES as u64));
    for (name, interval_ms) in [
        ("10 a second", 100),
        ("one a second", 1_000),
        ("one in 5 minutes", 300_000),
    ] {
        let mut detectors = vec![SeriesDetector::default(); SERIES];
        let mut round = 0;
        while round < WARM_UP {
            observe(&mut detectors, round, interval_ms);
            round += 1;
        }
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                observe(&mut detectors, round, interval_ms);
                round += 1;
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
