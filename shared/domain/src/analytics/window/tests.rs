use proptest::prelude::*;

use super::super::tests::tick;
use super::*;

type Observation = (i64, f64, Option<f64>);

fn observations() -> impl Strategy<Value = Vec<Observation>> {
    let price = || (1_i32..1_000).prop_map(|tenths| f64::from(tenths) / 10.0);
    let volume = || prop::option::of(0.1_f64..10.0);
    let far = (-4_000_000_i64..4_000_000, price(), volume());
    // Half of them within two minutes, so the short window is not empty, and many at the same time.
    let near = (
        (0_i64..1_200).prop_map(|tenths| tenths * 100),
        price(),
        volume(),
    );
    prop::collection::vec(prop_oneof![far, near], 1..80)
}

fn folded(window_ms: i64, observations: &[(usize, Observation)]) -> WindowAverages {
    let mut window = Window::new(window_ms);
    for (number, (ms, price, volume)) in observations {
        // Ids differ in their first bytes, as derived ones do.
        let id = u128::try_from(*number + 1).unwrap() << 96;
        window.add(&tick(id, *ms, "1", None), *ms, *price, *volume);
    }
    window.averages()
}

fn numbered(observations: &[Observation]) -> Vec<(usize, Observation)> {
    observations.iter().copied().enumerate().collect()
}

fn mean(weighted: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (sum, weights) = weighted.fold((0.0, 0.0), |(sum, weights), (value, w)| {
        (sum + value * w, weights + w)
    });
    (weights > 0.0).then(|| sum / weights)
}

fn assert_near(seen: Option<f64>, expected: Option<f64>) {
    match (seen, expected) {
        (Some(seen), Some(expected)) => {
            assert!(
                (seen - expected).abs() <= 1e-9 * expected,
                "{seen} {expected}"
            );
        }
        _ => assert_eq!(seen, expected),
    }
}

/// The averages by their definition, from all ticks in order.
fn check(window_ms: i64, observations: &[Observation]) {
    let seen = folded(window_ms, &numbered(observations));
    let mut sorted = observations.to_vec();
    sorted.sort_by_key(|(ms, ..)| *ms);
    let width = window_ms / 60;
    let newest = sorted[sorted.len() - 1].0.div_euclid(width);
    let bars = newest - 59..=newest;
    let inside: Vec<_> = sorted
        .iter()
        .filter(|(ms, ..)| bars.contains(&ms.div_euclid(width)))
        .collect();
    assert_eq!(seen.ticks, inside.len() as u64);
    let volumes = inside
        .iter()
        .filter_map(|(_, price, volume)| Some((*price, (*volume)?)));
    assert_near(seen.vwap, mean(volumes));
    let close = |number: i64| {
        let of_bar = |it: &&Observation| it.0.div_euclid(width) == number;
        sorted.iter().rfind(of_bar).map(|(_, price, _)| *price)
    };
    assert_near(
        seen.sma,
        mean(bars.clone().filter_map(close).map(|it| (it, 1.0))),
    );
    let held = |number: i64| {
        let until = |it: &&Observation| it.0.div_euclid(width) <= number;
        Some((number, sorted.iter().rfind(until)?.1))
    };
    let held: Vec<_> = bars.filter_map(held).collect();
    assert_near(seen.twap, mean(held.iter().map(|(_, price)| (*price, 1.0))));
    let weight = |number: i64| (-f64::from(u8::try_from(newest - number).unwrap()) / 30.0).exp();
    assert_near(
        seen.ema,
        mean(held.iter().map(|(number, price)| (*price, weight(*number)))),
    );
}

#[test]
fn a_window_drops_ticks_that_are_one_bar_too_old_but_holds_their_price() {
    let ticks = [
        (0, 10.0, Some(1.0)),
        (999, 20.0, Some(3.0)),
        (59_999, 30.0, None),
    ];
    let seen = folded(60_000, &numbered(&ticks));
    assert_eq!(
        (seen.ticks, seen.sma, seen.vwap),
        (3, Some(25.0), Some(17.5))
    );
    // 59 bars at 20 and one at 30.
    assert_near(seen.twap, Some((59.0 * 20.0 + 30.0) / 60.0));
    let later = [&ticks[..], &[(60_000, 40.0, None)]].concat();
    let seen = folded(60_000, &numbered(&later));
    assert_eq!((seen.ticks, seen.sma, seen.vwap), (2, Some(35.0), None));
    assert_near(seen.twap, Some((58.0 * 20.0 + 30.0 + 40.0) / 60.0));
}

#[test]
fn a_price_holds_through_a_silence() {
    for order in [[0, 1], [1, 0]] {
        let ticks = [(0, 10.0, None), (i64::MAX, 30.0, None)];
        let ordered = order.map(|at| (at, ticks[at]));
        let seen = folded(60_000, &ordered);
        assert_eq!((seen.ticks, seen.sma), (1, Some(30.0)));
        assert_near(seen.twap, Some((59.0 * 10.0 + 30.0) / 60.0));
    }
}

#[test]
fn damaged_windows_are_refused() {
    let stored = |window_ms, slot| Stored {
        window_ms,
        newest_ms: Some(0),
        before: None,
        bars: vec![(slot, Bar::default())],
    };
    assert!(Window::try_from(stored(60_000, 59)).is_ok());
    assert_eq!(
        Window::try_from(stored(60_000, 60)).err(),
        Some(StoredWindowError::Slot(60))
    );
    assert_eq!(
        Window::try_from(stored(0, 0)).err(),
        Some(StoredWindowError::Length(0))
    );
}

proptest! {
    #[test]
    fn averages_match_their_definition(observations in observations()) {
        for window_ms in WINDOWS_MS {
            check(window_ms, &observations);
        }
    }

    #[test]
    fn the_order_of_arrival_does_not_matter(
        (ticks, shuffled) in observations().prop_flat_map(|ticks| {
            let numbered = numbered(&ticks);
            (Just(numbered.clone()), Just(numbered).prop_shuffle())
        }),
    ) {
        for window_ms in WINDOWS_MS {
            let [seen, expected] = [&shuffled, &ticks].map(|it| folded(window_ms, it));
            prop_assert_eq!(
                (seen.ticks, seen.sma, seen.twap, seen.ema),
                (expected.ticks, expected.sma, expected.twap, expected.ema)
            );
            assert_near(seen.vwap, expected.vwap);
        }
    }
}
