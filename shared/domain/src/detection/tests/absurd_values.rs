//! Values that no series has: they are reported, and nothing after them is missed or misjudged because of them.

use super::super::{AnomalyKind, Assessment, DetectionConfig, SeriesDetector};
use super::{Market, SECOND_MS};

const ABSURD: usize = 1_000;
const JUMP: usize = 1_500;

/// A quiet market with an absurd value and, later, a jump of a fifth.
fn with(absurd: &[f64], at: usize) -> Vec<(i64, f64)> {
    let mut ticks = Market::ticks(1, SECOND_MS, 2_000);
    for tick in &mut ticks[JUMP..] {
        tick.1 *= 1.2;
    }
    for (tick, value) in ticks[at..].iter_mut().zip(absurd) {
        tick.1 = *value;
    }
    ticks
}

fn reports(ticks: &[(i64, f64)], config: &DetectionConfig) -> Vec<(usize, Assessment)> {
    let mut detector = SeriesDetector::default();
    let assess =
        |(at, (ms, value)): (usize, &(i64, f64))| (at, detector.observe(*ms, *value, config));
    let all = ticks.iter().enumerate().map(assess);
    all.filter(|(_, it)| it.is_reported).collect()
}

fn at(found: &[(usize, Assessment)]) -> Vec<usize> {
    found.iter().map(|(at, _)| *at).collect()
}

#[test]
fn an_absurd_number_is_reported_and_hides_nothing() {
    for value in [1e300, -1e300, f64::MAX, 1e20, f64::from(i32::MAX)] {
        let found = reports(&with(&[value], ABSURD), &DetectionConfig::NUMBERS);
        let [(first, absurd), (second, jump)] = found[..] else {
            panic!("{value}: {:?}", at(&found));
        };
        assert_eq!((first, second), (ABSURD, JUMP), "{value}");
        let absurd = absurd.detection.unwrap();
        assert_eq!(absurd.kind, AnomalyKind::OutOfRange);
        assert_eq!(absurd.seen, value);
        assert!((140.0..160.0).contains(&absurd.expected), "{absurd:?}");
        assert_eq!(jump.detection.unwrap().kind, AnomalyKind::Jump);
    }
}

#[test]
fn a_series_that_begins_with_a_number_beyond_its_digits_is_judged_all_the_same() {
    for value in [1e300, -1e300] {
        let found = reports(&with(&[value], 0), &DetectionConfig::NUMBERS);
        assert!(found.iter().any(|(at, _)| *at == JUMP), "{:?}", at(&found));
        assert!(found.iter().all(|(at, _)| *at < 2 || *at == JUMP));
    }
}

#[test]
fn numbers_that_stay_far_away_are_the_new_ones() {
    let far: Vec<f64> = (0..1_000_u16)
        .map(|n| 1e25 + 1e20 * f64::from(n % 7))
        .collect();
    let found = reports(&with(&far, ABSURD), &DetectionConfig::NUMBERS);
    assert!(
        found
            .iter()
            .all(|(at, _)| (ABSURD..ABSURD + 3).contains(at)),
        "{:?}",
        at(&found)
    );
    assert!(!found.is_empty());
}

#[test]
fn what_is_not_above_0_is_reported_as_a_wrong_price() {
    for value in [0.0, -0.0, -37.63, f64::MIN] {
        let found = reports(&with(&[value], ABSURD), &DetectionConfig::PRICES);
        let [(ABSURD, wrong), (JUMP, _)] = found[..] else {
            panic!("{value}: {:?}", at(&found));
        };
        let wrong = wrong.detection.unwrap();
        assert_eq!(
            (wrong.kind, wrong.seen),
            (AnomalyKind::WrongDecimals, value)
        );
        assert!(
            wrong.message().ends_with(", which is not a price"),
            "{}",
            wrong.message()
        );
    }
}

#[test]
fn a_wrong_price_is_reported_with_all_its_digits() {
    let wrong = with(&[], 0)[ABSURD].1 * 1e300;
    let found = reports(&with(&[wrong], ABSURD), &DetectionConfig::PRICES);
    assert_eq!(found[0].1.detection.unwrap().seen, wrong);
}

#[test]
fn what_is_not_a_number_is_ignored() {
    let with_none: Vec<f64> = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    for config in [DetectionConfig::PRICES, DetectionConfig::NUMBERS] {
        let found = reports(&with(&with_none, ABSURD), &config);
        assert_eq!(at(&found), [JUMP]);
    }
}
