//! Examples for the analysis as a whole: lateness, anomalies, storing and limits. Also builds the
//! ticks for the tests of this module.

mod properties;

use std::ops::Range;

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::{Method, Price, SourceName, Tick, TickId, Token, Volume};

/// 2021-01-08T10:00:00Z: every interval starts there.
pub(super) const START_MS: i64 = 1_610_100_000_000;

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

pub(super) fn tick(id: u128, timestamp_ms: i64, price: &str, volume: Option<&str>) -> Tick {
    Tick {
        tick_id: TickId::from_bytes(id.to_be_bytes()),
        token: token("BTC"),
        quote: token("USDT"),
        price: Price::parse(price).unwrap(),
        volume: volume.map(|text| Volume::parse(text).unwrap()),
        timestamp_ms,
        ingested_at_ms: timestamp_ms,
        source: SourceName::new("binance:spot").unwrap(),
        slot: None,
        method: Method::Trade,
        sequence: None,
        quality: None,
    }
}

/// Ticks with different ids within `span_ms` from the start, many at the same times.
pub(super) fn ticks(span_ms: i64, count: Range<usize>) -> impl Strategy<Value = Vec<Tick>> {
    let offset_ms = prop_oneof![0..span_ms, (0..span_ms).prop_map(|ms| ms / 10_000 * 10_000)];
    let part = (
        offset_ms,
        1_i64..10_000_000,
        0_u32..8,
        prop::option::of(0_i64..5_000_000),
        prop::sample::select(vec![
            ("binance:spot", Method::Trade),
            ("kraken", Method::Trade),
            ("kraken", Method::Ticker),
        ]),
    );
    prop::collection::vec(part, count).prop_map(|parts| {
        (1..)
            .zip(parts)
            .map(
                |(id, (offset_ms, mantissa, scale, volume, (source, method)))| Tick {
                    source: SourceName::new(source).unwrap(),
                    method,
                    price: Price::new(Decimal::new(mantissa, scale)).unwrap(),
                    volume: volume.map(|units| Volume::new(Decimal::new(units, 6)).unwrap()),
                    ..tick(id, START_MS + offset_ms, "1", None)
                },
            )
            .collect()
    })
}

pub(super) fn state() -> PairState {
    PairState::new(token("BTC"), token("USDT"))
}

pub(super) fn bytes(state: &PairState) -> Vec<u8> {
    postcard::to_stdvec(state).unwrap()
}

/// Applies ticks at these offsets and checks the effects of the last: timeliness, closed and corrected
/// starts.
fn check(
    offsets_ms: &[i64],
    timeliness: Timeliness,
    closed: &[(&str, i64)],
    corrected: &[(&str, i64)],
) {
    let mut state = state();
    let mut effects = Effects::of(Timeliness::InOrder);
    for (id, offset_ms) in (1..).zip(offsets_ms) {
        effects = state.apply(
            &tick(id, START_MS + offset_ms, "5", None),
            &AnalysisConfig::default(),
        );
    }
    let starts = |candles: &[Candle]| -> Vec<(&str, i64)> {
        let key = |candle: &Candle| (candle.interval.as_str(), candle.start_ms - START_MS);
        candles.iter().map(key).collect()
    };
    assert_eq!(effects.timeliness, timeliness, "{offsets_ms:?}");
    assert_eq!(starts(&effects.closed), closed, "{offsets_ms:?}");
    assert_eq!(starts(&effects.corrections), corrected, "{offsets_ms:?}");
}

#[test]
fn a_tick_closes_merges_or_corrects_by_its_event_time() {
    use Timeliness::{InOrder, Late, TooLate};
    check(&[0], InOrder, &[], &[]);
    check(&[0, 0], InOrder, &[], &[]);
    check(&[0, 999], InOrder, &[], &[]);
    check(&[0, 1_000], InOrder, &[("1s", 0)], &[]);
    check(&[500, 60_000], InOrder, &[("1s", 0), ("1m", 0)], &[]);
    let all = [("1s", 0), ("1m", 0), ("5m", 0), ("1h", 0)];
    check(&[0, 7_200_000], InOrder, &all, &[]);
    check(&[900, 100], Late, &[], &[]);
    check(&[1_000, 999], Late, &[], &[("1s", 0)]);
    check(&[60_000, 0], Late, &[], &[("1s", 0), ("1m", 0)]);
    check(&[60_001, 0], TooLate, &[], &[("1s", 0), ("1m", 0)]);
    let day = [
        ("1s", -86_400_000),
        ("1m", -86_400_000),
        ("5m", -86_400_000),
        ("1h", -86_400_000),
    ];
    check(&[0, -86_400_000], TooLate, &[], &day);
}

fn newest_average_ms(state: &PairState) -> i64 {
    state.averages().next().unwrap().timestamp_ms
}

#[test]
fn the_watermark_and_the_latest_tick_follow_event_time() {
    let mut state = state();
    assert_eq!(
        (
            state.watermark_ms(&AnalysisConfig::default()),
            state.latest()
        ),
        (None, None)
    );
    assert_eq!(state.averages().count(), 0);
    for (id, offset_ms, price) in [(1, 9_000, "5"), (2, 4_000, "6")] {
        let timeliness = state.apply(
            &tick(id, START_MS + offset_ms, price, None),
            &AnalysisConfig::default(),
        );
        assert!(timeliness.anomaly.is_none());
    }
    assert_eq!(
        state.watermark_ms(&AnalysisConfig::default()),
        Some(START_MS + 9_000 - 60_000)
    );
    let latest = state.latest().unwrap();
    assert_eq!(
        (latest.order.timestamp_ms, latest.price.to_string()),
        (START_MS + 9_000, "5".to_owned())
    );
    assert_eq!(newest_average_ms(&state), START_MS + 9_000);
}

/// Six trades of one millisecond, delivered in any order: their numbers decide, not their ids.
#[test]
fn within_a_millisecond_the_providers_numbers_decide() {
    let trades: Vec<Tick> = [
        (6, "101"),
        (2, "102"),
        (5, "103"),
        (1, "104"),
        (4, "105"),
        (3, "106"),
    ]
    .into_iter()
    .zip(1..)
    .map(|((id, price), sequence)| Tick {
        sequence: Some(sequence),
        ..tick(id, START_MS, price, None)
    })
    .collect();
    for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]] {
        let mut state = state();
        for index in order {
            drop(state.apply(&trades[index], &AnalysisConfig::default()));
        }
        let candle = state.open_candles().next().unwrap();
        let values = candle.of_kind(SeriesKind::Trades).unwrap();
        let ends = [values.open, values.close].map(|price| price.to_string());
        assert_eq!(ends, ["101", "106"], "{order:?}");
        assert_eq!(state.latest().unwrap().order, trades[5].order());
    }
}

/// A tick dated 4:59 ahead: later ticks are in order, `latest` and the averages advance, and a
/// jump of 50 % is found.
#[test]
fn a_tick_ahead_of_our_clock_does_not_blind_its_pair() {
    let config = AnalysisConfig::default();
    let mut state = state();
    let received = |id: u128, at_ms: i64, ahead_ms: i64, price: &str| Tick {
        ingested_at_ms: START_MS + at_ms,
        ..tick(id, START_MS + at_ms + ahead_ms, price, None)
    };
    for n in 0..100 {
        let id = u128::try_from(n).unwrap();
        let price = if n % 2 == 0 { "100" } else { "100.01" };
        assert_eq!(
            state
                .apply(&received(id, n * 1_000, 0, price), &config)
                .timeliness,
            Timeliness::InOrder
        );
    }
    let ahead = received(200, 100_000, 299_000, "100");
    assert_eq!(state.apply(&ahead, &config).timeliness, Timeliness::InOrder);
    let normal = received(201, 101_000, 0, "100.01");
    assert_eq!(
        state.apply(&normal, &config).timeliness,
        Timeliness::InOrder
    );
    assert_eq!(state.latest().unwrap().order, normal.order());
    assert_eq!(newest_average_ms(&state), normal.timestamp_ms);
    let jump = state.apply(&received(202, 102_000, 0, "150"), &config);
    assert!(jump.anomaly.is_some());
    // The candle that the tick opened counts the ticks of its second when they arrive.
    let own_second = received(203, 399_000, 0, "100");
    let effects = state.apply(&own_second, &config);
    let of_second = |candle: &&Candle| {
        candle.interval == Interval::OneSecond && candle.start_ms == ahead.timestamp_ms
    };
    let open: Vec<&Candle> = state.open_candles().filter(of_second).collect();
    assert_eq!(open.len(), 1, "{:?}", effects.closed);
    assert_eq!(open[0].tick_count(), 2);
}

#[test]
fn a_price_of_low_quality_is_kept_out_of_candles_and_averages() {
    let mut state = state();
    let dust = Tick {
        quality: Some(crate::Quality::LowPrecision),
        ..tick(1, START_MS, "5", None)
    };
    let effects = state.apply(&dust, &AnalysisConfig::default());
    assert_eq!(effects.timeliness, Timeliness::InOrder);
    assert_eq!(state.open_candles().count(), 0);
    assert_eq!(state.latest(), None);
}

#[test]
fn a_resumed_state_continues_the_stored_candles() {
    let mut before = state();
    for (id, offset_ms) in [(1, 0), (2, 61_000), (3, 62_000)] {
        drop(before.apply(
            &tick(id, START_MS + offset_ms, "5", None),
            &AnalysisConfig::default(),
        ));
    }
    let pair = crate::Pair {
        token: before.token.clone(),
        quote: before.quote.clone(),
    };
    let stored: Vec<Candle> = before.open_candles().cloned().collect();
    let mut resumed = PairState::resumed(&pair, stored);
    let next = tick(4, START_MS + 62_500, "6", None);
    for state in [&mut before, &mut resumed] {
        drop(state.apply(&next, &AnalysisConfig::default()));
    }
    let candles = |state: &PairState| state.open_candles().cloned().collect::<Vec<_>>();
    assert_eq!(candles(&resumed), candles(&before));
}

/// The stored and in-memory sizes of the busiest pair's state. The module documentation promises
/// both limits.
#[test]
fn the_state_of_a_busy_pair_stays_within_its_limits() {
    let mut state = state();
    state.token = token(&"x".repeat(44));
    state.quote = token(&"y".repeat(44));
    for n in 0..20_000_u32 {
        let tick = Tick {
            tick_id: TickId::derive("busy", &[&n.to_string()]),
            token: state.token.clone(),
            quote: state.quote.clone(),
            ..tick(
                0,
                START_MS + i64::from(n) * 200,
                "39432.481234",
                Some("0.00026312"),
            )
        };
        assert_eq!(
            state.apply(&tick, &AnalysisConfig::default()).timeliness,
            Timeliness::InOrder
        );
    }
    let stored = bytes(&state).len();
    assert!((8_000..13_000).contains(&stored), "{stored} bytes stored");
    let names = 10 * (44 + 16);
    let living = state.memory_bytes() + names;
    assert!(
        (14_000..18_000).contains(&living),
        "{living} bytes in memory"
    );
}

#[test]
fn a_state_of_another_version_is_refused() {
    let mut stored = bytes(&state());
    assert_eq!(stored[0], STATE_VERSION);
    stored[0] += 1;
    assert!(postcard::from_bytes::<PairState>(&stored).is_err());
}
