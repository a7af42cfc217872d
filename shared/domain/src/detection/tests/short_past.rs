//! Faults four times as large as anything in a past of some hours.

use super::super::AnomalyKind;
use super::stuck_and_silent::trades;
use super::{MINUTE_MS, Market, reports};

/// About three hours of trades, or twelve of a price a minute.
const PAST: usize = 700;

fn prices(seed: u64) -> Vec<(i64, f64)> {
    Market::ticks(seed, MINUTE_MS, 2 * PAST)
}

/// The largest of a past, of so many ticks.
fn largest(past: &[(i64, f64)], size: impl Fn(&[(i64, f64)]) -> f64, ticks: usize) -> f64 {
    past.windows(ticks + 1).map(size).fold(0.0, f64::max)
}

fn moved(window: &[(i64, f64)]) -> f64 {
    let (first, last) = (window[0], window[window.len() - 1]);
    (last.1 / first.1).ln().abs()
}

fn steps(window: &[(i64, f64)]) -> f64 {
    window.windows(2).map(moved).sum::<f64>()
}

/// How many of ten series are reported within some ticks of a change as one of these kinds.
fn found(
    series: impl Fn(u64) -> Vec<(i64, f64)>,
    change: impl Fn(&[(i64, f64)], usize, &mut (i64, f64)),
    within: usize,
    expected: &[AnomalyKind],
) -> usize {
    let is_found = |seed: &u64| {
        let mut ticks = series(*seed);
        ticks.truncate(PAST + within);
        let past = ticks[..PAST].to_vec();
        for (at, tick) in ticks.iter_mut().enumerate().skip(PAST) {
            change(&past, at - PAST, tick);
        }
        reports(&ticks).iter().any(|(at, it)| {
            *at >= PAST && it.detection.is_some_and(|it| expected.contains(&it.kind))
        })
    };
    (1..=10).filter(is_found).count()
}

#[test]
fn what_is_obvious_after_a_few_hours_is_found() {
    use AnomalyKind as Kind;
    let moves = [
        Kind::Jump,
        Kind::Spike,
        Kind::LevelShift,
        Kind::Drift,
        Kind::OutOfRange,
    ];
    for (name, kinds, steps_ticks) in [
        ("jump", &moves, 1),
        ("level shift", &moves, 5),
        ("drift", &moves, 120),
    ] {
        let change = |past: &[(i64, f64)], at: usize, tick: &mut (i64, f64)| {
            let size = 4.0 * largest(past, moved, steps_ticks);
            let steps_done = u32::try_from((at + 1).min(steps_ticks)).unwrap();
            let share = f64::from(steps_done) / f64::from(u32::try_from(steps_ticks).unwrap());
            tick.1 *= (size * share).exp();
        };
        let found = found(prices, change, 2 * steps_ticks, kinds);
        assert!(found >= 9, "{found} of 10: {name}");
    }
    let volatile = [Kind::Volatility, Kind::Jump, Kind::Spike, Kind::Drift];
    let volatility = |past: &[(i64, f64)], _: usize, tick: &mut (i64, f64)| {
        let start = past[PAST - 1].1;
        let usual = steps(&past[PAST - 61..]);
        let factor = 4.0 * largest(past, steps, 60) / usual;
        tick.1 = start * (tick.1 / start).powf(factor);
    };
    assert!(found(prices, volatility, 60, &volatile) >= 9);
}

#[test]
fn a_stuck_feed_and_a_silence_after_a_few_hours_are_found() {
    let longest_gap = |window: &[(i64, f64)]| {
        #[expect(clippy::cast_precision_loss, reason = "some minutes")]
        let gap_ms = (window[1].0 - window[0].0) as f64;
        gap_ms
    };
    let silence = |past: &[(i64, f64)], _: usize, tick: &mut (i64, f64)| {
        #[expect(clippy::cast_possible_truncation, reason = "some minutes")]
        let silence_ms = (4.0 * largest(past, longest_gap, 1)) as i64;
        tick.0 += silence_ms;
    };
    assert!(found(trades, silence, 1, &[AnomalyKind::Silence]) >= 9);
    let stuck = |past: &[(i64, f64)], _: usize, tick: &mut (i64, f64)| {
        tick.1 = past[PAST - 1].1;
    };
    assert!(found(trades, stuck, 40, &[AnomalyKind::StuckFeed]) >= 9);
}

#[test]
fn a_few_hours_of_trades_without_faults_are_seldom_reported() {
    let reported = |seed: &u64| {
        let mut ticks = trades(*seed);
        ticks.truncate(2 * PAST);
        !reports(&ticks).is_empty()
    };
    let all = (1..=20).filter(reported).count();
    assert!(all <= 4, "{all} of 20");
}
