//! Feeds that are stuck or silent.

use super::super::{AnomalyKind, Assessment, DetectionConfig, SeriesDetector};
use super::{MINUTE_MS, Market, QUIET, SECOND_MS, START_MS, check, reports};

/// Trades of a market in two and a half days, one in 15 seconds on average: half of them in bursts, on both sides of a
/// spread of 10 basis points, in steps of one.
pub(super) fn trades(seed: u64) -> Vec<(i64, f64)> {
    let mut market = Market::seeded(seed, SECOND_MS);
    let mut ms = START_MS;
    let mut trade = || {
        let mean_ms = if market.uniform() < 0.5 {
            300.0
        } else {
            29_700.0
        };
        #[expect(clippy::cast_possible_truncation, reason = "some seconds")]
        let gap_ms = (-market.uniform().ln() * mean_ms) as i64;
        ms += gap_ms;
        let side = if market.uniform() < 0.5 { 5e-4 } else { -5e-4 };
        let step = 0.01;
        (ms, ((market.next() * (1.0 + side)) / step).round() * step)
    };
    (0..14_000).map(|_| trade()).collect()
}

#[test]
fn a_feed_that_repeats_its_price_is_found() {
    let mut detected = 0;
    for seed in 1..=10 {
        let mut ticks = Market::ticks(seed, MINUTE_MS, QUIET + 120);
        let price = ticks[QUIET].1;
        for tick in &mut ticks[QUIET..] {
            tick.1 = price;
        }
        let is_stuck = |(at, it): &(usize, Assessment)| {
            *at > QUIET && it.detection.unwrap().kind == AnomalyKind::StuckFeed
        };
        detected += usize::from(reports(&ticks).iter().any(is_stuck));
    }
    assert_eq!(detected, 10);
}

#[test]
fn a_silence_is_found_when_it_ends() {
    let silence = |_: usize, tick: &mut (i64, f64)| tick.0 += 60 * MINUTE_MS;
    check(silence, 1, &[AnomalyKind::Silence]);
}

#[test]
fn a_market_that_is_closed_at_weekends_is_not_silent_each_week() {
    // Prices of each hour, of which there are none for 48 hours after five days; and in the last week for four days.
    let weeks = 26;
    let mut market = Market::seeded(1, 60 * MINUTE_MS);
    let mut ticks = Vec::new();
    for hour in 0..weeks * 7 * 24_i64 {
        let is_open =
            hour % (7 * 24) < 5 * 24 && !(hour / (7 * 24) == weeks - 1 && hour % (7 * 24) < 48);
        if is_open {
            ticks.push((START_MS + hour * 60 * MINUTE_MS, market.next()));
        }
    }
    let found = reports(&ticks);
    let silences = found
        .iter()
        .filter(|(_, it)| it.detection.unwrap().kind == AnomalyKind::Silence);
    let silences: Vec<usize> = silences.map(|(at, _)| at / (5 * 24)).collect();
    assert!(silences.len() <= 6, "weeks of {silences:?}");
    let last_week = usize::try_from(weeks - 1).unwrap();
    assert!(
        silences.contains(&last_week),
        "the closed Monday and Tuesday: {silences:?}"
    );
}

#[test]
fn stuck_feeds_and_silences_are_found_in_trades() {
    // (ticks with the same price, minutes without any)
    for (stuck, silent_minutes, expected) in [
        (40, 0, AnomalyKind::StuckFeed),
        (0, 15, AnomalyKind::Silence),
    ] {
        let mut found = 0;
        for seed in 1..=10 {
            let mut ticks = trades(seed);
            let price = ticks[QUIET].1;
            for tick in &mut ticks[QUIET..QUIET + stuck] {
                tick.1 = price;
            }
            for tick in &mut ticks[QUIET..] {
                tick.0 += silent_minutes * MINUTE_MS;
            }
            let near = QUIET..=QUIET + stuck;
            found += usize::from(reports(&ticks).iter().any(|(at, it)| {
                near.contains(at) && it.detection.is_some_and(|it| it.kind == expected)
            }));
        }
        assert!(found >= 9, "{found} of 10 {expected}");
    }
}

#[test]
fn an_order_that_fills_many_small_ones_at_once_is_no_stuck_feed() {
    for seed in 1..=5 {
        let mut ticks = trades(seed);
        let first = ticks[QUIET];
        for tick in &mut ticks[QUIET..QUIET + 60] {
            *tick = first;
        }
        let found = reports(&ticks);
        let stuck = |(at, it): &(usize, Assessment)| {
            let kind = it.detection.map(|it| it.kind);
            (QUIET..QUIET + 60).contains(at) && kind == Some(AnomalyKind::StuckFeed)
        };
        assert!(!found.iter().any(stuck), "{found:?}");
    }
}

#[test]
fn a_dead_feed_is_reported_once_while_it_is_silent() {
    let mut detector = SeriesDetector::default();
    let config = DetectionConfig::PRICES;
    let ticks = Market::ticks(3, MINUTE_MS, QUIET);
    for (ms, price) in &ticks {
        detector.observe(*ms, *price, &config);
    }
    let (last_ms, price) = ticks[QUIET - 1];
    let reported: Vec<i64> = (1..=180)
        .filter(|minute| {
            let now_ms = last_ms + minute * MINUTE_MS;
            detector.silence(now_ms, &config).is_reported
        })
        .collect();
    assert!(matches!(reported[..], [8..=30]), "{reported:?}");
    let end = detector.observe(last_ms + 181 * MINUTE_MS, price, &config);
    assert!(!end.is_reported, "{end:?}");
}

#[test]
fn a_pause_in_the_first_minute_is_not_a_silence() {
    for (seconds, expected) in [(20, 0), (120, 1)] {
        let mut ticks = Market::ticks(1, 50, seconds * 20 + 10);
        for tick in &mut ticks[seconds * 20..] {
            tick.0 += 5 * SECOND_MS;
        }
        let is_silence =
            |(_, it): &&(usize, Assessment)| it.detection.unwrap().kind == AnomalyKind::Silence;
        let found = reports(&ticks).iter().filter(is_silence).count();
        assert_eq!(found, expected, "after {seconds} s");
    }
}
