//! Each kind of anomaly, put into a series of which nothing is reported without it.

use proptest::prelude::*;

use super::{AnomalyKind, Assessment, DetectionConfig, Direction, SeriesDetector};

mod absurd_values;
mod pair_on_venues;
mod short_past;
mod stuck_and_silent;

const SECOND_MS: i64 = 1_000;
const START_MS: i64 = 1_700_000_000_000;

/// Four days of a tick a minute are quiet before the anomaly.
const QUIET: usize = 6_000;
const MINUTE_MS: i64 = 60_000;

/// A price that walks at random with heavy tails: t-distributed returns with 3 degrees of freedom, of about a basis
/// point a second, which makes some percent a day.
struct Market {
    random: u64,
    log_price: f64,
    interval_ms: i64,
}

impl Market {
    fn seeded(seed: u64, interval_ms: i64) -> Self {
        Self {
            interval_ms,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            log_price: 5.0,
        }
    }

    fn uniform(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        let number = (self.random >> 11) as f64;
        (number + 0.5) / 9_007_199_254_740_992.0
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn heavy(&mut self) -> f64 {
        let squares: f64 = (0..3).map(|_| self.normal().powi(2)).sum();
        self.normal() / (squares / 3.0).sqrt()
    }

    fn next(&mut self) -> f64 {
        let seconds = f64::from(i32::try_from(self.interval_ms / SECOND_MS).unwrap());
        // It comes back slowly, as prices of a quiet month do.
        self.log_price += 1e-4 * seconds.sqrt() * self.heavy() - 0.002 * (self.log_price - 5.0);
        self.log_price.exp()
    }

    fn ticks(seed: u64, interval_ms: i64, count: usize) -> Vec<(i64, f64)> {
        let mut market = Self::seeded(seed, interval_ms);
        let times = (0..).map(|n| START_MS + n * interval_ms);
        times.take(count).map(|ms| (ms, market.next())).collect()
    }
}

/// What is reported of ticks, with their positions.
fn reports(ticks: &[(i64, f64)]) -> Vec<(usize, Assessment)> {
    let mut detector = SeriesDetector::default();
    let assess = |(at, (ms, price)): (usize, &(i64, f64))| {
        (at, detector.observe(*ms, *price, &DetectionConfig::PRICES))
    };
    let all = ticks.iter().enumerate().map(assess);
    all.filter(|(_, it)| it.is_reported).collect()
}

/// The kinds that are reported within so many ticks of a change, in at least nine of ten markets.
fn check(change: impl Fn(usize, &mut (i64, f64)), within: usize, expected: &[AnomalyKind]) {
    let mut found = 0;
    for seed in 1..=10 {
        let mut ticks = Market::ticks(seed, MINUTE_MS, QUIET + 300);
        for (at, tick) in ticks.iter_mut().enumerate().skip(QUIET) {
            change(at - QUIET, tick);
        }
        let near = QUIET..QUIET + within;
        found += usize::from(reports(&ticks).iter().any(|(at, it)| {
            near.contains(at) && it.detection.is_some_and(|it| expected.contains(&it.kind))
        }));
    }
    assert!(found >= 9, "{found} of 10 {expected:?}");
}

#[test]
fn a_quiet_market_with_heavy_tails_is_reported_less_than_once_a_day() {
    let days = 3;
    let all: usize = (1..=3)
        .map(|seed| reports(&Market::ticks(seed, SECOND_MS, days * 86_400)).len())
        .sum();
    assert!(all <= 3 * days, "{all} reports in {} days", 3 * days);
}

#[test]
fn a_jump_is_found_at_its_tick() {
    let jump = |by: f64| move |_: usize, tick: &mut (i64, f64)| tick.1 *= by;
    check(jump(1.05), 1, &[AnomalyKind::Jump]);
    check(jump(0.95), 1, &[AnomalyKind::Jump]);
}

#[test]
fn a_jump_that_comes_back_is_a_spike() {
    let spike = |at: usize, tick: &mut (i64, f64)| {
        if at < 2 {
            tick.1 *= 1.06;
        }
    };
    check(spike, 1, &[AnomalyKind::Jump]);
    check(spike, 3, &[AnomalyKind::Spike]);
}

#[test]
fn a_second_jump_in_the_cooldown_is_reported_if_it_is_opposite_or_larger() {
    let two = |second: f64| {
        let mut ticks = Market::ticks(4, SECOND_MS, QUIET + 30);
        for (at, tick) in ticks.iter_mut().enumerate().skip(QUIET) {
            tick.1 *= if at < QUIET + 20 { 1.03 } else { 1.03 * second };
        }
        let found = reports(&ticks);
        let found = found.iter().filter(|(at, _)| *at >= QUIET);
        found
            .map(|(at, it)| (at - QUIET, it.detection.unwrap().direction))
            .collect::<Vec<_>>()
    };
    assert_eq!(two(1.0), [(0, Direction::Up)]);
    assert_eq!(two(0.9), [(0, Direction::Up), (20, Direction::Down)]);
    assert_eq!(two(1.2), [(0, Direction::Up), (20, Direction::Up)]);
    assert_eq!(two(1.01), [(0, Direction::Up)]);
}

#[test]
fn a_time_of_volatility_is_not_reported_with_each_turn() {
    for seed in 1..=10 {
        let mut ticks = Market::ticks(seed, SECOND_MS, QUIET + 60);
        for (at, tick) in ticks.iter_mut().enumerate().skip(QUIET) {
            tick.1 *= if ((at - QUIET) / 3).is_multiple_of(2) {
                1.02
            } else {
                0.98
            };
        }
        let found = reports(&ticks);
        let found: Vec<_> = found.iter().filter(|(at, _)| *at >= QUIET).collect();
        assert!((2..=5).contains(&found.len()), "{} reports", found.len());
    }
}

#[test]
fn a_drift_that_continues_is_reported_again_once_it_has_doubled() {
    let mut ticks = Market::ticks(4, SECOND_MS, QUIET + 50);
    for (at, tick) in ticks.iter_mut().enumerate().skip(QUIET) {
        let steps = i32::try_from(at - QUIET + 1).unwrap_or_default();
        tick.1 *= 1.002_f64.powi(steps);
    }
    let found = reports(&ticks);
    let found = found.iter().filter(|(at, _)| *at >= QUIET).count();
    assert!(
        (1..=6).contains(&found),
        "{found} reports of a drift of 10 %"
    );
}

#[test]
fn a_fall_of_a_tenth_in_small_steps_is_found() {
    let fall = |at: usize, tick: &mut (i64, f64)| {
        let steps = i32::try_from(at.min(30)).unwrap_or_default() + 1;
        tick.1 *= 0.996_f64.powi(steps);
    };
    check(
        fall,
        60,
        &[
            AnomalyKind::Drift,
            AnomalyKind::LevelShift,
            AnomalyKind::OutOfRange,
            AnomalyKind::Jump,
        ],
    );
}

#[test]
fn a_price_that_no_market_makes_is_found_and_not_learned() {
    for (wrong, kind) in [
        (10.0, AnomalyKind::WrongDecimals),
        (1e-9, AnomalyKind::WrongDecimals),
        (f64::NAN, AnomalyKind::InvertedPair),
    ] {
        let mut ticks = Market::ticks(3, MINUTE_MS, QUIET + 20);
        let right = ticks[QUIET].1;
        ticks[QUIET].1 = if wrong.is_nan() {
            1.0 / right
        } else {
            wrong * right
        };
        let found = reports(&ticks);
        let found: Vec<_> = found.iter().filter(|(at, _)| *at >= QUIET).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        let detection = found[0].1.detection.unwrap();
        assert_eq!((found[0].0, detection.kind), (QUIET, kind));
        assert!((detection.seen - ticks[QUIET].1).abs() <= 1e-5 * detection.seen);
    }
}

#[test]
fn a_price_that_stays_at_a_tenth_becomes_the_price() {
    let mut ticks = Market::ticks(3, MINUTE_MS, 2 * QUIET);
    for tick in &mut ticks[QUIET..] {
        tick.1 /= 10.0;
    }
    ticks[2 * QUIET - 1].1 *= 10.0;
    let found = reports(&ticks);
    let last = found.last().unwrap();
    assert_eq!(last.0, 2 * QUIET - 1);
    assert_eq!(last.1.detection.unwrap().kind, AnomalyKind::WrongDecimals);
}

#[test]
fn messages_are_sentences() {
    let ticks = |change: fn(usize, &mut (i64, f64))| {
        let mut ticks = Market::ticks(3, MINUTE_MS, QUIET + 2);
        for (at, tick) in ticks.iter_mut().enumerate().skip(QUIET) {
            change(at - QUIET, tick);
        }
        reports(&ticks)
            .last()
            .unwrap()
            .1
            .detection
            .unwrap()
            .message()
    };
    let rose = ticks(|_, tick| *tick = (tick.0, 200.0));
    assert!(
        rose.starts_with("rose ") && rose.ends_with(" to 200"),
        "{rose}"
    );
    assert!(rose.contains(" % in "), "{rose}");
    let silence = ticks(|_, tick| tick.0 += 119 * MINUTE_MS);
    assert_eq!(silence, "nothing came for 2.0 hours; 60.0 s is usual");
}

#[test]
fn the_state_is_small_and_survives_being_stored() {
    let ticks = Market::ticks(7, SECOND_MS, 20_000);
    let mut detector = SeriesDetector::default();
    for (ms, price) in &ticks[..10_000] {
        detector.observe(*ms, *price, &DetectionConfig::PRICES);
    }
    let stored = postcard::to_stdvec(&detector).unwrap();
    assert!(stored.len() <= 4_096, "{} bytes", stored.len());
    assert!(size_of::<SeriesDetector>() + 600 <= 4_096);
    let mut restored: SeriesDetector = postcard::from_bytes(&stored).unwrap();
    for (ms, price) in &ticks[10_000..] {
        let expected = detector.observe(*ms, *price, &DetectionConfig::PRICES);
        let found = restored.observe(*ms, *price, &DetectionConfig::PRICES);
        assert_eq!(found, expected);
    }
    let mut other = stored;
    other[0] += 1;
    assert!(postcard::from_bytes::<SeriesDetector>(&other).is_err());
}

#[test]
fn what_is_not_a_price_is_not_learned() {
    let mut detector = SeriesDetector::default();
    for (ms, price) in Market::ticks(7, SECOND_MS, 500) {
        detector.observe(ms, price, &DetectionConfig::PRICES);
    }
    let before = postcard::to_stdvec(&detector).unwrap();
    for price in [f64::NAN, f64::INFINITY] {
        let assessment = detector.observe(START_MS, price, &DetectionConfig::PRICES);
        assert_eq!(assessment.score, 0.0);
    }
    assert_eq!(postcard::to_stdvec(&detector).unwrap(), before);
    // Nor if it persists.
    let mut other = detector.clone();
    for n in 0..1_000 {
        other.observe(START_MS + n, 0.0, &DetectionConfig::PRICES);
    }
    for (ms, price) in Market::ticks(7, SECOND_MS, 900).split_off(500) {
        let expected = detector.observe(ms, price, &DetectionConfig::PRICES);
        assert_eq!(other.observe(ms, price, &DetectionConfig::PRICES), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Scores are in [0, 1), whatever comes in whatever order, and nothing panics.
    #[test]
    fn scores_are_scores(
        ticks in prop::collection::vec((any::<i64>(), any::<f64>()), 0..400),
        repeats in 1..400_usize,
    ) {
        for config in [DetectionConfig::PRICES, DetectionConfig::NUMBERS] {
            let mut detector = SeriesDetector::default();
            for (ms, value) in ticks.iter().cycle().take(repeats * ticks.len().min(2)) {
                let assessment = detector.observe(*ms, *value, &config);
                prop_assert!((0.0..=1.0).contains(&assessment.score), "{assessment:?}");
                if let Some(detection) = assessment.detection {
                    prop_assert!(!detection.message().is_empty());
                }
            }
        }
    }
}
