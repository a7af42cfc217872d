//! Properties of the analysis for any ticks: order, repetition and restarts do not change the
//! result.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;
use crate::{FUTURE_TOLERANCE_MS, Method, SourceName, Tick};

use super::{START_MS, bytes, state, tick, ticks};

type Candles = BTreeMap<(Interval, i64), Candle>;

/// Stores candles as the module requires: closed ones replace, corrections are merged.
#[derive(Default)]
struct Store {
    candles: Candles,
    corrections: u32,
}

impl Store {
    fn take(&mut self, effects: Effects) {
        for candle in effects.closed {
            let before = self
                .candles
                .insert((candle.interval, candle.start_ms), candle);
            assert_eq!(before, None, "a candle was closed twice");
        }
        for part in effects.corrections {
            self.corrections += 1;
            match self.candles.get_mut(&(part.interval, part.start_ms)) {
                Some(candle) => {
                    let revision = candle.revision + 1;
                    candle.merge(&part);
                    candle.revision = revision;
                }
                None => {
                    self.candles.insert((part.interval, part.start_ms), part);
                }
            }
        }
    }

    fn finish(mut self, state: &PairState) -> Candles {
        for candle in state.open_candles() {
            let before = self
                .candles
                .insert((candle.interval, candle.start_ms), candle.clone());
            assert_eq!(before, None, "an open candle was issued");
        }
        self.candles
    }
}

fn apply_all(ticks: &[Tick]) -> (PairState, Candles) {
    let (mut state, mut store) = (state(), Store::default());
    for tick in ticks {
        store.take(state.apply(tick, &AnalysisConfig::default()));
    }
    let candles = store.finish(&state);
    (state, candles)
}

/// The candles by their definition, from all ticks sorted by event time.
fn reference(ticks: &[Tick], interval: Interval) -> Candles {
    let mut sorted: Vec<&Tick> = ticks.iter().collect();
    sorted.sort_by_key(|tick| tick.order());
    let mut groups: BTreeMap<i64, Vec<&Tick>> = BTreeMap::new();
    for tick in sorted {
        let start_ms = tick.timestamp_ms / interval.duration_ms() * interval.duration_ms();
        groups.entry(start_ms).or_default().push(tick);
    }
    let candle = |(start_ms, group): (i64, Vec<&Tick>)| {
        let mut of_venues: BTreeMap<(SeriesKind, &SourceName), Vec<&Tick>> = BTreeMap::new();
        for tick in &group {
            let kind = match tick.method {
                Method::Ticker | Method::Oracle | Method::Quote => SeriesKind::Quotes,
                _ => SeriesKind::Trades,
            };
            of_venues
                .entry((kind, &tick.source))
                .or_default()
                .push(tick);
        }
        let series = of_venues.into_iter().map(|((kind, source), ticks)| {
            let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
            let volumes = ticks.iter().filter_map(|tick| tick.volume);
            let volume = volumes.map(TotalVolume::from).reduce(TotalVolume::plus);
            let prices = || ticks.iter().map(|tick| tick.price);
            CandleSeries {
                kind,
                source: source.clone(),
                values: Ohlcv {
                    open: first.price,
                    high: prices().max().unwrap(),
                    low: prices().min().unwrap(),
                    close: last.price,
                    volume: volume.filter(|_| kind == SeriesKind::Trades),
                    quote_volume: 0.0,
                    tick_count: ticks.len() as u64,
                    first: first.order(),
                    last: last.order(),
                },
            }
        });
        let candle = Candle {
            token: group[0].token.clone(),
            quote: group[0].quote.clone(),
            interval,
            start_ms,
            series: series.collect(),
            revision: 0,
        };
        ((interval, start_ms), candle)
    };
    groups.into_iter().map(candle).collect()
}

/// Removes what depends on the order by design (revisions) or in its last digits.
fn comparable(candles: Candles) -> Candles {
    let strip = |mut candle: Candle| {
        candle.revision = 0;
        for series in &mut candle.series {
            series.values.quote_volume = 0.0;
        }
        candle
    };
    candles
        .into_iter()
        .map(|(key, candle)| (key, strip(candle)))
        .collect()
}

#[test]
fn a_late_tick_raises_the_revision_of_the_candle_it_corrects() {
    let (mut state, mut store) = (state(), Store::default());
    for (id, offset_ms, price) in [
        (1, 0, "5"),
        (2, 60_000, "6"),
        (3, 30_000, "9"),
        (4, 31_000, "1"),
    ] {
        store.take(state.apply(
            &tick(id, START_MS + offset_ms, price, None),
            &AnalysisConfig::default(),
        ));
    }
    let candle = &store.candles[&(Interval::OneMinute, START_MS)];
    assert_eq!((candle.revision, candle.tick_count()), (2, 3));
    let values = candle.of_kind(SeriesKind::Trades).unwrap();
    let prices = [values.open, values.high, values.low, values.close].map(|p| p.to_string());
    assert_eq!(prices, ["5", "9", "1", "1"]);

    let [mut older, newer] = [0, 2].map(|revision| Candle {
        revision,
        ..candle.clone()
    });
    older.merge(&newer);
    assert_eq!(
        older.revision, 2,
        "a merged candle is no older than its parts"
    );
}

proptest! {
    #[test]
    fn any_order_gives_the_candles_of_event_time(
        (ticks, shuffled) in prop_oneof![
            ticks(ALLOWED_LATENESS_MS, 1..60),
            ticks(3 * 3_600_000, 1..60),
        ].prop_flat_map(|ticks| (Just(ticks.clone()), Just(ticks).prop_shuffle())),
    ) {
        let mut expected = Candles::new();
        for interval in Interval::ALL {
            expected.extend(reference(&ticks, interval));
        }
        let (state, candles) = apply_all(&shuffled);
        let traded = ticks.iter().filter(|t| SeriesKind::of(t) == SeriesKind::Trades);
        let total: f64 = traded.filter_map(|t| Some(t.price.to_f64() * t.volume?.to_f64())).sum();
        let hours = candles.values().filter(|c| c.interval == Interval::OneHour);
        let seen: f64 = hours.flat_map(|c| &c.series).map(|it| it.values.quote_volume).sum();
        prop_assert!((total - seen).abs() <= 1e-9 * total);
        prop_assert_eq!(comparable(candles), expected);

        let (sorted_state, _) = apply_all(&ticks);
        let [seen, expected] = [&state, &sorted_state].map(|it| it.averages().collect::<Vec<_>>());
        let close = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * other,
            (one, other) => one == other,
        };
        prop_assert_eq!(seen.len(), expected.len());
        for (seen, expected) in seen.into_iter().zip(expected) {
            for (seen, expected) in seen.windows.into_iter().zip(expected.windows) {
                prop_assert!(close(seen.vwap, expected.vwap));
                prop_assert_eq!(WindowAverages { vwap: None, ..seen }, WindowAverages { vwap: None, ..expected });
            }
        }
    }

    /// Senders' clocks are up to five minutes ahead: the candles are still those of event time, and
    /// the pair's time never passes the receipt.
    #[test]
    fn ticks_ahead_of_our_clock_are_counted_and_delay_no_others(
        ticks in ticks(600_000, 1..60),
        ahead_ms in prop::collection::vec(prop_oneof![Just(0), 0..FUTURE_TOLERANCE_MS], 60),
    ) {
        let mut ticks = ticks;
        ticks.sort_by_key(|tick| tick.timestamp_ms);
        let mut clock_ms = START_MS;
        for (tick, ahead_ms) in ticks.iter_mut().zip(ahead_ms) {
            clock_ms = clock_ms.max(tick.timestamp_ms);
            tick.ingested_at_ms = clock_ms;
            tick.timestamp_ms += ahead_ms;
        }
        let mut expected = Candles::new();
        for interval in Interval::ALL {
            expected.extend(reference(&ticks, interval));
        }
        let (state, candles) = apply_all(&ticks);
        prop_assert_eq!(comparable(candles), expected);
        let watermark_ms = state.watermark_ms(&AnalysisConfig::default());
        prop_assert!(watermark_ms <= Some(clock_ms - ALLOWED_LATENESS_MS));
    }

    #[test]
    fn storing_the_state_between_ticks_changes_nothing(
        ticks in ticks(600_000, 1..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut kept = state();
        let mut stored = state();
        for (index, tick) in ticks.iter().enumerate() {
            if index == cut.index(ticks.len()) {
                stored = postcard::from_bytes(&bytes(&stored)).unwrap();
            }
            let effects = kept.apply(tick, &AnalysisConfig::default());
            prop_assert_eq!(stored.apply(tick, &AnalysisConfig::default()), effects);
        }
        prop_assert_eq!(bytes(&kept), bytes(&stored));
    }

    #[test]
    fn extremes_give_numbers(
        parts in prop::collection::vec(
            (
                prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), START_MS..START_MS + 10_000],
                prop_oneof![Just("1e21"), Just("0.0000000000000000000000000001"), Just("1")],
                prop::option::of(prop_oneof![Just("1e21"), Just("0"), Just("0.0000000000000000000000000001")]),
            ),
            1..80,
        ),
        lateness_ms in any::<i64>(),
    ) {
        let rules = AnalysisConfig { allowed_lateness_ms: lateness_ms, ..AnalysisConfig::default() };
        let finite = |number: Option<f64>| number.is_none_or(f64::is_finite);
        let mut state = state();
        for (id, (timestamp_ms, price, volume)) in (1..).zip(parts) {
            let effects = state.apply(&tick(id, timestamp_ms, price, volume), &rules);
            prop_assert!(finite(effects.anomaly.map(|anomaly| anomaly.score)));
            for window in state.averages().flat_map(|it| it.windows) {
                prop_assert!(finite(window.sma) && finite(window.twap) && finite(window.ema) && finite(window.vwap));
                prop_assert!(window.ticks > 0 && window.ema.is_some());
            }
            for Ohlcv { quote_volume, low, high, .. } in state.open_candles().flat_map(|it| &it.series).map(|it| it.values) {
                prop_assert!(quote_volume.is_finite() && low <= high);
            }
            prop_assert!(state.open_candles().filter_map(|it| it.of_kind(SeriesKind::Trades)).all(|it| finite(it.vwap())));
        }
    }
}
