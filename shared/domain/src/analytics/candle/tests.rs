use proptest::prelude::*;

use super::super::tests::{START_MS, tick, ticks};
use super::*;
use crate::Method;

fn candle(ticks: &[Tick]) -> Candle {
    let mut parts = ticks.iter().map(|tick| Candle::of(tick, Interval::OneHour));
    let mut candle = parts.next().unwrap();
    parts.for_each(|part| candle.merge(&part));
    candle
}

/// Compares everything except the digits of `quote_volume` that rounding may change.
fn assert_same(seen: &Candle, expected: &Candle) {
    let mut rounded = seen.clone();
    for (one, other) in rounded.series.iter_mut().zip(&expected.series) {
        let error = (one.values.quote_volume - other.values.quote_volume).abs();
        assert!(
            error <= 1e-9 * other.values.quote_volume,
            "{seen:?} {expected:?}"
        );
        one.values.quote_volume = other.values.quote_volume;
    }
    assert_eq!(&rounded, expected);
}

/// Prices of ticks `(time, price, volume)` against `(open, high, low, close, volume, vwap)`.
fn check(
    parts: &[(i64, &str, Option<&str>)],
    expected: (&str, &str, &str, &str, Option<&str>, Option<f64>),
) {
    let ticks: Vec<Tick> = (1..)
        .zip(parts)
        .map(|(id, (offset_ms, price, volume))| tick(id, START_MS + offset_ms, price, *volume))
        .collect();
    let candle = candle(&ticks);
    assert_eq!(candle.end_ms(), START_MS + 3_600_000);
    assert_eq!(candle.of_kind(SeriesKind::Quotes), None);
    let values = candle.of_kind(SeriesKind::Trades).unwrap();
    let seen = [values.open, values.high, values.low, values.close].map(|p| p.to_string());
    let (open, high, low, close, volume, vwap) = expected;
    assert_eq!(seen, [open, high, low, close], "{parts:?}");
    let total = values.volume.map(|total| total.to_string());
    assert_eq!(total.as_deref(), volume, "{parts:?}");
    assert_eq!(values.vwap(), vwap, "{parts:?}");
    assert_eq!(values.tick_count, parts.len() as u64);
}

#[test]
fn a_candle_has_first_and_last_prices_extremes_and_sums() {
    check(&[(5, "2", None)], ("2", "2", "2", "2", None, None));
    check(
        &[(0, "2", Some("1")), (10, "4", Some("3")), (20, "1.5", None)],
        ("2", "4", "1.5", "1.5", Some("4"), Some(3.5)),
    );
    // Out of order.
    check(
        &[(20, "3", Some("0.5")), (0, "9", Some("0")), (10, "1", None)],
        ("9", "9", "1", "3", Some("0.5"), Some(3.0)),
    );
    // A volume of 0 is not the same as none.
    check(
        &[(0, "2", Some("0")), (10, "3", None)],
        ("2", "3", "2", "3", Some("0"), None),
    );
    // At equal times the id decides, whichever tick arrived first.
    check(
        &[(7, "3", None), (7, "2", None)],
        ("3", "3", "2", "2", None, None),
    );
}

/// The ticks of venues in one second, with methods and volumes.
fn of_venues(parts: &[(&str, Method, &str, Option<&str>)]) -> Vec<Tick> {
    let ticks = (1..)
        .zip(parts)
        .map(|(id, (source, method, price, volume))| Tick {
            source: SourceName::new(source).unwrap(),
            method: *method,
            ..tick(id, START_MS + i64::try_from(id).unwrap(), price, *volume)
        });
    ticks.collect()
}

#[test]
fn trades_and_quotes_are_apart_and_quotes_have_no_volume() {
    let candle = candle(&of_venues(&[
        ("kraken", Method::Trade, "100", Some("2")),
        ("kraken", Method::Ticker, "250", Some("1000")),
        ("pyth", Method::Oracle, "90", None),
        ("bybit", Method::Trade, "103", Some("1")),
        ("ticks", Method::Reported, "101", Some("1")),
        ("jupiter", Method::Quote, "99", Some("5")),
    ]));
    let trades = candle.of_kind(SeriesKind::Trades).unwrap();
    assert_eq!(
        [trades.open, trades.high, trades.low, trades.close].map(|it| it.to_string()),
        ["100", "103", "100", "101"]
    );
    assert_eq!((trades.tick_count, trades.vwap()), (3, Some(101.0)));
    let quotes = candle.of_kind(SeriesKind::Quotes).unwrap();
    assert_eq!(
        [quotes.high, quotes.low, quotes.close].map(|it| it.to_string()),
        ["250", "90", "99"]
    );
    assert_eq!(
        (quotes.tick_count, quotes.volume, quotes.quote_volume),
        (3, None, 0.0)
    );
    let of_kraken = |kind| {
        candle
            .of_venue(kind, "kraken")
            .map(|it| it.close.to_string())
    };
    assert_eq!(of_kraken(SeriesKind::Trades).as_deref(), Some("100"));
    assert_eq!(of_kraken(SeriesKind::Quotes).as_deref(), Some("250"));
    assert_eq!(candle.of_venue(SeriesKind::Trades, "pyth"), None);
    assert_eq!((candle.tick_count(), candle.series.len()), (6, 6));
    assert_eq!(candle.last().unwrap().1.to_string(), "99");
}

#[test]
fn venues_for_which_there_is_no_room_share_a_series() {
    let names: Vec<String> = (0..40).map(|n| format!("venue{n}")).collect();
    let parts: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), Method::Trade, "5", Some("1")))
        .collect();
    let candle = candle(&of_venues(&parts));
    assert_eq!(candle.series.len(), SERIES_PER_KIND_MAX + 1);
    let others = candle.of_venue(SeriesKind::Trades, OTHER_VENUES).unwrap();
    assert_eq!(others.tick_count, 40 - 8);
    let all = candle.of_kind(SeriesKind::Trades).unwrap();
    assert_eq!((all.tick_count, all.quote_volume), (40, 200.0));
}

#[test]
fn ties_in_time_are_broken_by_id_in_either_order() {
    let [a, b] = [tick(1, START_MS, "3", None), tick(2, START_MS, "2", None)];
    assert_eq!(candle(&[a.clone(), b.clone()]), candle(&[b, a]));
}

proptest! {
    #[test]
    fn merging_does_not_depend_on_order_or_grouping(
        ticks in ticks(3_600_000, 2..40),
        cut in any::<prop::sample::Index>(),
        order in any::<u64>(),
    ) {
        let whole = candle(&ticks);
        let (left, right) = ticks.split_at(1 + cut.index(ticks.len() - 1));
        let [left, right] = [candle(left), candle(right)];
        let mut joined = left.clone();
        joined.merge(&right);
        assert_same(&joined, &whole);
        let mut joined = right;
        joined.merge(&left);
        assert_same(&joined, &whole);

        let mut shuffled = ticks;
        shuffled.sort_by_key(|tick| order.wrapping_mul(u64::from(tick.tick_id.as_bytes()[15]) * 2 + 1));
        assert_same(&candle(&shuffled), &whole);
    }

    #[test]
    fn adding_a_tick_equals_merging_its_candle(ticks in ticks(3_600_000, 1..40)) {
        let mut added = Candle::of(&ticks[0], Interval::OneHour);
        ticks[1..].iter().for_each(|tick| added.add(tick, &Ohlcv::of(tick)));
        prop_assert_eq!(added, candle(&ticks));
    }
}
