//! Seeded markets: what is reported, what is not, and how often.

use super::*;

/// A seeded random walk.
struct Market {
    seed: u64,
    detector: Detector,
    timestamp_ms: i64,
    log_price: f64,
}

impl Market {
    fn new(seed: u64) -> Self {
        let (detector, log_price) = (Detector::default(), 100_f64.ln());
        Self {
            seed,
            detector,
            timestamp_ms: 1_700_000_000_000,
            log_price,
        }
    }

    /// The next random number (SplitMix64).
    fn bits(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.seed;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// Uniformly distributed in 0..1.
    fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One tick after `elapsed_ms`, the price moved by `log_return`.
    fn step(&mut self, elapsed_ms: i64, log_return: f64) -> Verdict {
        self.timestamp_ms += elapsed_ms;
        self.log_price += log_return;
        let price = self.log_price.exp();
        self.detector
            .observe(self.timestamp_ms, price, &DetectorConfig::default())
    }

    /// Runs a walk with this deviation per second and tails heavier than the normal distribution's
    /// (one step in 20 is three times as large). Returns how many ticks were anomalies.
    fn walk(&mut self, ticks: u64, inter_arrival_ms: u64, deviation: f64) -> usize {
        let mut found = 0;
        for _ in 0..ticks {
            let normal = (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0;
            let tail = if self.uniform() < 0.05 { 3.0 } else { 1.0 };
            let elapsed_ms = 1 + i64::try_from(self.bits() % (2 * inter_arrival_ms)).unwrap();
            let scale = deviation * (elapsed_ms as f64 / 1_000.0).sqrt();
            found += usize::from(
                self.step(elapsed_ms, normal * tail * scale)
                    .reason
                    .is_some(),
            );
        }
        found
    }
}

#[test]
fn a_quiet_walk_gives_at_most_one_alarm_in_fifty_thousand_ticks() {
    for (seed, inter_arrival_ms, deviation) in [
        (1, 10, 0.0005),
        (2, 250, 0.0005),
        (3, 1_000, 0.002),
        (4, 30_000, 0.000_2),
        (5, 3_600_000, 0.000_1),
    ] {
        let found = Market::new(seed).walk(200_000, inter_arrival_ms, deviation);
        assert!(found <= 4, "{found} alarms at {inter_arrival_ms} ms");
    }
}

#[test]
fn a_jump_in_either_direction_is_reported_once_however_dense_the_ticks() {
    for inter_arrival_ms in [1_u16, 20, 1_000, 20_000] {
        for jump in [0.05_f64, -0.05] {
            let mut market = Market::new(7);
            let ticks = 100_000 / u64::from(inter_arrival_ms) + 500;
            assert_eq!(market.walk(ticks, inter_arrival_ms.into(), 0.0003), 0);
            let verdict = market.step(inter_arrival_ms.into(), jump);
            assert_eq!(
                verdict.reason,
                Some(AnomalyReason::Jump),
                "{inter_arrival_ms} {verdict:?}"
            );
            assert!((verdict.log_return - jump).abs() < 0.01);
            let word = if jump > 0.0 { "rose" } else { "fell" };
            assert!(verdict.message().starts_with(word), "{}", verdict.message());
            assert_eq!(
                market.walk(500, inter_arrival_ms.into(), 0.0003),
                0,
                "reported twice at {inter_arrival_ms}"
            );
        }
    }
}

#[test]
fn a_crash_in_many_small_steps_is_a_jump() {
    let mut market = Market::new(11);
    assert_eq!(market.walk(20_000, 5, 0.0003), 0);
    let found = (0..200)
        .filter(|_| market.step(5, -0.0003).reason.is_some())
        .count();
    assert_eq!(found, 1);
}

#[test]
fn a_second_jump_is_reported_after_the_first() {
    let mut market = Market::new(13);
    assert_eq!(market.walk(2_000, 1_000, 0.0003), 0);
    assert!(market.step(1_000, 0.05).reason.is_some());
    assert!(market.step(1_000, -0.05).reason.is_none(), "cooling down");
    assert_eq!(market.walk(100, 1_000, 0.0003), 0);
    assert!(
        market.step(1_000, 0.008).reason.is_some(),
        "the first jump must not mask it"
    );
}

#[test]
fn a_silence_allows_a_move_in_proportion_to_its_length() {
    let silence_ms = 40 * 3_600_000;
    let check = |log_return, expected| {
        let mut market = Market::new(17);
        assert_eq!(market.walk(2_000, 1_000, 0.0003), 0);
        assert_eq!(market.step(silence_ms, log_return).reason, expected);
    };
    check(0.02, None);
    check(-0.4, Some(AnomalyReason::JumpAfterSilence));
}

#[test]
fn a_constant_price_may_move_a_little() {
    let check = |log_return, expected| {
        let mut market = Market::new(0);
        (0..1_000).for_each(|_| assert_eq!(market.step(1_000, 0.0).score, 0.0));
        let verdict = market.step(1_000, log_return);
        assert_eq!(verdict.reason.is_some(), expected, "{verdict:?}");
    };
    check(0.000_5, false);
    check(0.01, true);
}

#[test]
fn nothing_is_reported_during_the_warm_up() {
    let mut market = Market::new(0);
    for _ in 0..30 {
        assert_eq!(market.step(1_000, 0.0).reason, None);
    }
    // The first tick has no return, so 30 ticks are 29 samples.
    assert_eq!(market.clone_step(0.5), None);
    market.step(1_000, 0.0);
    assert!(market.clone_step(0.5).is_some());
}

impl Market {
    /// The verdict on a move, without making it.
    fn clone_step(&self, log_return: f64) -> Option<AnomalyReason> {
        let price = (self.log_price + log_return).exp();
        let mut detector = self.detector.clone();
        detector
            .observe(self.timestamp_ms + 1_000, price, &DetectorConfig::default())
            .reason
    }
}

#[test]
fn numbers_that_are_not_prices_are_ignored() {
    let mut detector = Detector::default();
    let config = DetectorConfig::default();
    for price in [f64::NAN, 0.0, -1.0, f64::INFINITY] {
        assert_eq!(detector.observe(0, price, &config), Verdict::ZERO);
    }
    detector.observe(1_000, 1.0, &config);
    assert_eq!(
        detector.observe(500, 9.0, &config),
        Verdict::ZERO,
        "before the reference"
    );
}

#[test]
fn the_expected_deviation_does_not_depend_on_regular_arrival() {
    let mut market = Market::new(19);
    for n in 0..50_000 {
        let elapsed_ms = if n % 20 == 0 { 60_000 } else { 1_000 };
        let normal = (0..12).map(|_| market.uniform()).sum::<f64>() - 6.0;
        market.step(
            elapsed_ms,
            normal * 0.001 * (elapsed_ms as f64 / 1_000.0).sqrt(),
        );
    }
    let Detector {
        variance,
        inter_arrival_ms,
        ..
    } = market.detector;
    let deviation = (variance / (inter_arrival_ms / 1_000.0)).sqrt();
    assert!((deviation - 0.001).abs() < 0.000_15, "{deviation} a second");
}

#[test]
fn a_duration_is_given_in_a_suitable_unit() {
    for (ms, expected) in [
        (1_249, "1.2 s"),
        (119_000, "119.0 s"),
        (150_000, "2.5 minutes"),
        (7_200_000, "2.0 hours"),
        (259_200_000, "3.0 days"),
        (185_290_295_500, "5.9 years"),
    ] {
        assert_eq!(duration_text(ms), expected);
    }
}
