use super::super::tests::{START_MS, tick};
use super::*;
use crate::Method;
use crate::detection::Direction;

/// The ticks of a venue, one a second, whose prices hardly move.
fn calm(source: &str, first_id: u128, seconds: std::ops::Range<i64>) -> Vec<Tick> {
    let ticks = (first_id..).zip(seconds).map(|(id, second)| {
        let price = format!("100.{:02}", second * 7 % 11);
        Tick {
            source: SourceName::new(source).unwrap(),
            ..tick(id, START_MS + second * 1_000, &price, None)
        }
    });
    ticks.collect()
}

fn at(tick: &Tick, offset_ms: i64, price: &str) -> Tick {
    Tick {
        timestamp_ms: START_MS + offset_ms,
        ingested_at_ms: START_MS + offset_ms,
        price: crate::Price::parse(price).unwrap(),
        ..tick.clone()
    }
}

fn observe(detector: &mut PairDetector, tick: &Tick) -> Option<Anomaly> {
    let (ms, price) = (tick.effective_ms(), tick.price.to_f64());
    detector.observe(tick, ms, price, &DetectionConfig::PRICES)
}

/// A detector that knows a calm venue.
fn detector(ticks: &[Tick]) -> PairDetector {
    let mut detector = PairDetector::default();
    for tick in ticks {
        assert_eq!(observe(&mut detector, tick), None);
    }
    detector
}

#[test]
fn an_anomaly_has_the_tick_the_venue_and_what_was_expected() {
    let ticks = calm("kraken", 0, 0..600);
    let mut detector = detector(&ticks);
    let jump = at(&ticks[0], 600_000, "110.25");
    let anomaly = observe(&mut detector, &jump).unwrap();
    assert_eq!((anomaly.tick_id, anomaly.price), (jump.tick_id, jump.price));
    assert_eq!(anomaly.source.as_ref(), Some(&jump.source));
    let found = anomaly.detection;
    assert_eq!(
        (found.kind, found.direction),
        (AnomalyKind::Jump, Direction::Up)
    );
    assert!(
        (found.expected - 100.05).abs() < 0.1 && (found.seen - 110.25).abs() < 0.001,
        "{found:?}"
    );
    assert!((0.5..1.0).contains(&anomaly.score) && anomaly.notifies);
    assert!(
        anomaly.message().starts_with("rose 10."),
        "{}",
        anomaly.message()
    );
    // A larger one within the cooldown is an anomaly again, of which nobody is notified a second time.
    let larger = observe(&mut detector, &at(&ticks[0], 602_000, "180")).unwrap();
    assert!(!larger.notifies);
    for second in 603..1_800_i64 {
        let price = format!("180.{:02}", second * 7 % 11);
        _ = observe(&mut detector, &at(&ticks[0], second * 1_000, &price));
    }
    let later = observe(&mut detector, &at(&ticks[0], 1_800_000, "250")).unwrap();
    assert!(later.notifies, "after the cooldown");
}

#[test]
fn each_venue_has_its_own_order_and_its_own_past() {
    let [one, other] = [calm("kraken", 0, 0..600), calm("bybit", 1_000, 0..600)];
    // A venue that always comes 30 s after the other is late for the pair, and in order by itself.
    let mut detector = detector(&one);
    for tick in &other {
        assert_eq!(observe(&mut detector, tick), None);
    }
    let jump = at(&other[0], 600_000, "110");
    assert!(observe(&mut detector, &jump).is_some());
    // Its own late ticks are not judged.
    assert_eq!(observe(&mut detector, &at(&other[0], 599_000, "1")), None);
    // The first venue does not move by that.
    assert_eq!(
        observe(&mut detector, &at(&one[0], 600_000, "100.02")),
        None
    );
}

#[test]
fn quotes_of_a_venue_are_not_judged_by_its_trades() {
    let trades = calm("coinbase", 0, 0..600);
    let mut detector = detector(&trades);
    let quote = Tick {
        method: Method::Ticker,
        ..at(&trades[0], 600_000, "101.5")
    };
    assert_eq!(
        observe(&mut detector, &quote),
        None,
        "the first of its series"
    );
    assert_eq!(detector.series.len(), 2);
}

#[test]
fn a_venue_that_leaves_the_others_diverges() {
    let venues = ["a", "b", "c"].map(|name| calm(name, 0, 0..600));
    let mut detector = PairDetector::default();
    for second in 0..600 {
        for venue in &venues {
            assert_eq!(observe(&mut detector, &venue[second]), None);
        }
    }
    let mut found = Vec::new();
    for second in 600..610_i64 {
        for (venue, price) in venues.iter().zip([100, 100, 110]) {
            let price = format!("{price}.{:02}", second * 7 % 11);
            let anomaly = observe(&mut detector, &at(&venue[0], second * 1_000, &price));
            found.extend(anomaly.map(|it| (it.detection.kind, it.source.unwrap())));
        }
    }
    let of_third = |kind| (kind, SourceName::new("c").unwrap());
    let expected = [AnomalyKind::Jump, AnomalyKind::Divergence].map(of_third);
    assert_eq!(found, expected);
}

#[test]
fn of_too_many_series_one_that_is_quiet_makes_room_and_no_other() {
    let venue = |n: u32, second: i64| calm(&format!("venue{n}"), 0, second..second + 1);
    let mut detector = PairDetector::default();
    // Twenty venues in turns: the first eight are judged.
    for second in 0..100_i64 {
        for n in 0..20 {
            for tick in &venue(n, second) {
                assert_eq!(observe(&mut detector, tick), None);
            }
        }
    }
    let judged = |detector: &PairDetector| -> Vec<String> {
        let names = detector.series.iter().map(|it| it.source.to_string());
        names.collect()
    };
    let first: Vec<String> = (0..8).map(|n| format!("venue{n}")).collect();
    assert_eq!(judged(&detector), first);
    // Late ticks of a new venue do not make room for it, and ticks after a long silence of the others do.
    let long_after = 99 + QUIET_MS / 1_000;
    for (second, is_judged) in [(3, false), (long_after, true)] {
        for tick in &venue(30, second) {
            assert_eq!(observe(&mut detector, tick), None);
        }
        let names = judged(&detector);
        assert_eq!(
            names.contains(&"venue30".to_owned()),
            is_judged,
            "{names:?}"
        );
        assert_eq!(names.len(), SERIES_MAX);
    }
    let bytes = postcard::to_stdvec(&detector).unwrap().len();
    assert!(bytes < SERIES_MAX * 2_700, "{bytes}");
}

/// The silences of a pair that is watched from the start.
fn silences(detector: &mut PairDetector, since_s: i64, now_s: i64) -> Vec<Anomaly> {
    let now_ms = START_MS + now_s * 1_000;
    let watched = Watched {
        since_ms: START_MS + since_s * 1_000,
        steady_since_ms: now_ms,
        now_ms,
    };
    silences_as_watched(detector, watched)
}

fn silences_as_watched(detector: &mut PairDetector, watched: Watched) -> Vec<Anomaly> {
    let of = tick(0, START_MS, "1", None);
    detector.silences((&of.token, &of.quote), watched, &DetectionConfig::PRICES)
}

#[test]
fn a_dead_feed_is_reported_once_while_it_is_dead() {
    let [dead, alive] = [calm("kraken", 0, 0..600), calm("bybit", 1_000, 0..700)];
    let mut both = [&dead[..], &alive[..600]].concat();
    both.sort_by_key(|it| (it.timestamp_ms, it.tick_id));
    let mut detector = detector(&both);
    let mut found = Vec::new();
    for second in 600..700_i64 {
        let tick = &alive[usize::try_from(second).unwrap()];
        assert_eq!(observe(&mut detector, tick), None);
        found.extend(silences(&mut detector, 0, second));
    }
    let [silence] = &found[..] else {
        panic!("{found:?}")
    };
    let last = dead.last().unwrap();
    assert_eq!(silence.source.as_ref(), Some(&last.source));
    assert_eq!((silence.tick_id, silence.price), (last.tick_id, last.price));
    assert_eq!(silence.detection.kind, AnomalyKind::Silence);
    assert!(silence.notifies && silence.timestamp_ms < START_MS + 660_000);
    // Its end is not reported again.
    assert_eq!(
        observe(&mut detector, &at(last, 700_000, "100.05")),
        None,
        "the end of a silence that was reported"
    );
    // The next one is.
    for second in 701..900 {
        _ = observe(&mut detector, &at(last, second * 1_000, "100.05"));
    }
    assert_eq!(silences(&mut detector, 0, 4_000).len(), 2);
}

#[test]
fn a_time_that_nobody_watched_is_not_a_silence() {
    let mut detector = detector(&calm("kraken", 0, 0..600));
    assert_eq!(silences(&mut detector, 4_000, 4_005), []);
    assert_eq!(silences(&mut detector, 4_000, 4_300).len(), 1);
}

#[test]
fn a_provider_that_delivers_in_bursts_is_not_silent_between_them() {
    let mut detector = PairDetector::default();
    // Every five minutes, those of the five minutes before.
    for second in 0..6_000 {
        let tick = &calm("kraken", 0, second..second + 1)[0];
        let delivered = Tick {
            ingested_at_ms: START_MS + (second / 300 + 1) * 300_000,
            ..tick.clone()
        };
        _ = observe(&mut detector, &delivered);
        if second % 300 == 299 {
            for later in 0..30 {
                let now_s = second + 1 + later * 10;
                assert_eq!(silences(&mut detector, 0, now_s), [], "{now_s}");
            }
        }
    }
    assert_eq!(silences(&mut detector, 0, 9_000).len(), 1);
}

/// Ten ticks a second for five minutes, of which one took this long to arrive.
fn lively(longest_delay_ms: i64) -> PairDetector {
    let calm = &calm("kraken", 0, 0..1)[0];
    let mut detector = PairDetector::default();
    for n in 0..3_000_i64 {
        let price = format!("100.{:02}", n * 7 % 11);
        let mut tick = at(calm, n * 100, &price);
        if n == 1_000 {
            tick.ingested_at_ms += longest_delay_ms;
        }
        assert_eq!(observe(&mut detector, &tick), None);
    }
    detector
}

/// After how many milliseconds without a tick the feed is reported. The ticks of others have arrived steadily since
/// `steady_since_ms` after its last.
fn found_after_ms(mut detector: PairDetector, steady_since_ms: i64) -> Option<i64> {
    let last_ms = START_MS + 299_900;
    (0..100).map(|n| n * 100).find(|silent_ms| {
        let watched = Watched {
            since_ms: START_MS,
            steady_since_ms: last_ms + steady_since_ms.min(*silent_ms),
            now_ms: last_ms + silent_ms,
        };
        !silences_as_watched(&mut detector, watched).is_empty()
    })
}

#[test]
fn a_feed_that_dies_among_others_is_reported_within_a_second() {
    let found = found_after_ms(lively(0), -60_000);
    assert!(matches!(found, Some(500..1_000)), "{found:?}");
    // The others paused for a moment, too.
    let found = found_after_ms(lively(0), 700);
    assert!(matches!(found, Some(1_200..1_700)), "{found:?}");
    // Without others, it may be a pause of our own.
    assert_eq!(found_after_ms(lively(0), i64::MAX), Some(5_000));
}

#[test]
fn a_feed_is_not_silent_before_twice_the_longest_delay_of_its_ticks() {
    assert_eq!(found_after_ms(lively(2_000), -60_000), Some(4_000));
    assert_eq!(found_after_ms(lively(60_000), -60_000), Some(5_000));
}

#[test]
fn a_tick_that_others_overtook_does_not_delay_the_report() {
    let mut detector = lively(0);
    let calm = &calm("kraken", 0, 0..1)[0];
    let overtaken = Tick {
        timestamp_ms: START_MS + 200_050,
        ..at(calm, 299_900, "100.01")
    };
    assert_eq!(observe(&mut detector, &overtaken), None);
    let found = found_after_ms(detector, -60_000);
    assert!(matches!(found, Some(500..1_000)), "{found:?}");
}
