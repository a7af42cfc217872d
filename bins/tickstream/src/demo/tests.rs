//! The market is reproducible from its seed, and has all of its events within ten minutes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;

use domain::analytics::{AnalysisConfig, Anomaly, PairState, Watch};
use domain::detection::AnomalyKind;
use domain::{Pair, Reason, Tick};
use sources::{Entry, ParseContext, Source as _};

use super::*;

const START_MS: i64 = 1_800_000_000_000;
const MINUTES: i64 = 10;

/// The ticks that the sources parsed from a market's deliveries.
#[derive(Default)]
struct Seen {
    /// The feed, and the tick with our clock as its ingestion time.
    ticks: Vec<(&'static str, Tick)>,
    ignored: usize,
    malformed: HashMap<Reason, usize>,
}

fn run(seed: u64, steps: i64) -> Vec<(i64, Delivery)> {
    let mut market = Market::new(seed, START_MS);
    (1..=steps)
        .flat_map(|step| {
            let now_ms = START_MS + step * STEP_MS;
            market
                .next_deliveries(now_ms)
                .into_iter()
                .map(move |delivery| (now_ms, delivery))
        })
        .collect()
}

impl Seen {
    fn read(&mut self, now_ms: i64, delivery: &Delivery) {
        let source = DemoSource::find(delivery.source).expect("a feed of the demo is a source");
        for entry in source
            .parse(&delivery.body, &ParseContext::at(now_ms))
            .expect("a delivery of the demo is readable")
        {
            match entry {
                Entry::Tick(tick) | Entry::ArrivalStamped(tick) => {
                    self.ticks.push((delivery.source, tick));
                }
                Entry::Ignored(_) => self.ignored += 1,
                Entry::Malformed(malformed) => {
                    *self.malformed.entry(malformed.reason).or_default() += 1
                }
            }
        }
    }
}

/// Ten minutes of one market, generated once for all tests.
fn ten_minutes() -> &'static Seen {
    static RUN: OnceLock<Seen> = OnceLock::new();
    RUN.get_or_init(|| {
        let mut seen = Seen::default();
        for (now_ms, delivery) in run(1, MINUTES * 60_000 / STEP_MS) {
            seen.read(now_ms, &delivery);
        }
        seen
    })
}

/// The event times and prices of each token, in the order of events.
fn series(seen: &Seen) -> BTreeMap<&str, Vec<(i64, f64)>> {
    let mut series: BTreeMap<&str, Vec<(i64, f64)>> = BTreeMap::new();
    for (_, tick) in &seen.ticks {
        series
            .entry(tick.token.as_str())
            .or_default()
            .push((tick.timestamp_ms, tick.price.to_f64()));
    }
    series
        .values_mut()
        .for_each(|points| points.sort_by_key(|point| point.0));
    series
}

/// The delay between event and arrival.
fn age_ms(tick: &Tick) -> i64 {
    tick.ingested_at_ms - tick.timestamp_ms
}

#[test]
fn the_same_seed_gives_the_same_deliveries() {
    assert_eq!(run(7, 300), run(7, 300));
    assert_ne!(run(7, 300), run(8, 300));
}

#[test]
fn several_tokens_trade_on_several_feeds_some_hundred_times_a_second() {
    let seen = ten_minutes();
    let a_second = seen.ticks.len() as i64 / (MINUTES * 60);
    assert!((200..800).contains(&a_second), "{a_second} ticks/s");
    let feeds: HashSet<_> = seen.ticks.iter().map(|(feed, _)| *feed).collect();
    assert_eq!(
        feeds,
        HashSet::from(["ticks", "pool", "binance", "coinbase"])
    );
    let pairs: HashSet<_> = seen
        .ticks
        .iter()
        .map(|(_, tick)| (&tick.token, &tick.quote))
        .collect();
    assert_eq!(pairs.len(), 11, "{pairs:?}");
}

#[test]
fn every_tick_says_that_it_is_made_up() {
    let named: HashSet<_> = ten_minutes()
        .ticks
        .iter()
        .map(|(_, tick)| tick.source.as_str())
        .collect();
    let expected = ["demo:market", "demo:pool", "demo:binance", "demo:coinbase"];
    assert_eq!(named, HashSet::from(expected));
}

#[test]
fn prices_stay_in_range_and_have_enough_digits_to_move() {
    for (token, points) in series(ten_minutes()) {
        let first = points[0].1;
        let is_in_range = |(_, price): &&(i64, f64)| (0.3..3.0).contains(&(price / first));
        // Of faults, one price each is anywhere.
        let outside = points.iter().filter(|it| !is_in_range(it)).count();
        assert!(outside <= 5, "{token}: {outside}");
        let levels: HashSet<_> = points.iter().map(|(_, price)| price.to_bits()).collect();
        assert!(
            levels.len() > points.len() / 100,
            "{token} has {} levels",
            levels.len()
        );
    }
}

#[test]
fn some_deliveries_are_late_and_none_is_early() {
    let ticks = &ten_minutes().ticks;
    assert!(
        ticks
            .iter()
            .all(|(_, tick)| (0..=40_000 + 2 * STEP_MS).contains(&age_ms(tick)))
    );
    let late = ticks
        .iter()
        .filter(|(_, tick)| age_ms(tick) >= 5_000)
        .count();
    assert!(
        (ticks.len() / 500..ticks.len() / 20).contains(&late),
        "{late} of {}",
        ticks.len()
    );
}

#[test]
fn an_id_comes_again_only_with_the_same_trade() {
    let ticks = &ten_minutes().ticks;
    let mut first = HashMap::new();
    let mut repeated = 0;
    for (_, tick) in ticks {
        if let Some(other) = first.insert(tick.tick_id, tick) {
            assert_eq!(
                (&other.token, other.timestamp_ms, other.price),
                (&tick.token, tick.timestamp_ms, tick.price)
            );
            repeated += 1;
        }
    }
    assert!(
        (ticks.len() / 500..ticks.len() / 20).contains(&repeated),
        "{repeated} of {}",
        ticks.len()
    );
}

#[test]
fn a_restarted_market_uses_other_ids() {
    let ids = |start_ms: i64| -> HashSet<_> {
        let mut market = Market::new(1, start_ms);
        let mut seen = Seen::default();
        for now_ms in (1..=50).map(|step| start_ms + step * STEP_MS) {
            market
                .next_deliveries(now_ms)
                .iter()
                .for_each(|delivery| seen.read(now_ms, delivery));
        }
        seen.ticks.iter().map(|(_, tick)| tick.tick_id).collect()
    };
    assert!(ids(START_MS).is_disjoint(&ids(START_MS + 5_000)));
}

#[test]
fn malformed_entries_are_of_all_kinds_and_no_others() {
    let malformed = &ten_minutes().malformed;
    let total: usize = malformed.values().sum();
    assert!((50..250).contains(&total), "{total} malformed entries");
    let reasons: HashSet<_> = malformed.keys().copied().collect();
    let planned = [
        Reason::InvalidPrice,
        Reason::MissingField,
        Reason::InvalidTimestamp,
        Reason::FutureTimestamp,
        Reason::InvalidVolume,
        Reason::InvalidToken,
        Reason::WrongType,
    ];
    assert_eq!(reasons, HashSet::from(planned));
}

#[test]
fn heartbeats_are_not_prices() {
    let ignored = ten_minutes().ignored;
    assert!((100..=140).contains(&ignored), "{ignored} ignored entries");
}

#[test]
fn only_the_last_second_of_a_pause_is_generated() {
    let mut market = Market::new(3, START_MS);
    let hour_later = START_MS + 3_600_000;
    let mut seen = Seen::default();
    market
        .next_deliveries(hour_later)
        .iter()
        .for_each(|delivery| seen.read(hour_later, delivery));
    assert!(
        (100..1_500).contains(&seen.ticks.len()),
        "{} ticks at once",
        seen.ticks.len()
    );
}

/// The anomalies of ticks in the order of arrival, as the analysis finds them: when, and of which token and kind.
fn anomalies(ticks: &[(&'static str, Tick)]) -> Vec<(i64, String, AnomalyKind)> {
    let config = AnalysisConfig::default();
    let mut states: HashMap<Pair, PairState> = HashMap::new();
    let mut seen = HashSet::new();
    let (mut found, mut watch) = (Vec::new(), Watch::default());
    for (_, tick) in ticks
        .iter()
        .filter(|(_, tick)| seen.insert(tick.identity()))
    {
        let new = || PairState::new(tick.token.clone(), tick.quote.clone());
        let state = states.entry(Pair::of(tick)).or_insert_with(new);
        let mut anomalies: Vec<Anomaly> = state.apply(tick, &config).anomaly.into_iter().collect();
        watch.add_arrival(tick.ingested_at_ms);
        if let Some(watched) = watch.due() {
            let silences = states.values_mut().map(|it| it.silences(watched, &config));
            anomalies.extend(silences.flatten());
        }
        found.extend(anomalies.into_iter().map(|it| {
            let token = it.token.to_string();
            (tick.ingested_at_ms, token, it.detection.kind)
        }));
    }
    found
}

/// Each kind of fault is found when it first happens, within a second of when it shows.
#[test]
fn each_fault_is_found() {
    for seed in [1, 2] {
        find_each_fault(seed);
    }
}

fn find_each_fault(seed: u64) {
    let mut market = Market::new(seed, START_MS);
    let (mut seen, mut begun) = (Seen::default(), Vec::new());
    for step in 1..=8 * 60_000 / STEP_MS {
        let now_ms = START_MS + step * STEP_MS;
        for delivery in market.next_deliveries(now_ms) {
            seen.read(now_ms, &delivery);
        }
        if begun.last() != market.last_fault().as_ref() {
            begun.extend(market.last_fault());
        }
    }
    let found = anomalies(&seen.ticks);
    let mut missed = Vec::new();
    assert_eq!(begun.len(), Fault::ALL.len());
    for (at_ms, fault) in &begun {
        let first = found.iter().find(|(found_ms, token, kind)| {
            found_ms >= at_ms && token == fault.token() && fault.is_seen_as(*kind)
        });
        let delay_ms = first.map(|(found_ms, ..)| found_ms - at_ms);
        println!("seed {seed}: {fault:?} {delay_ms:?}");
        if delay_ms.is_none_or(|ms| ms > fault.found_within_ms()) {
            missed.push((fault, delay_ms));
        }
    }
    assert!(
        missed.is_empty(),
        "seed {seed}: {missed:?}, found: {found:?}"
    );
}
