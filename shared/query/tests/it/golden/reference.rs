//! The answers to the named queries, computed from the ticks in plain Rust: the reference for the
//! golden answers.

mod anomalies;
mod prices;
mod quality;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use app::ports::Quarantined;
use domain::analytics::Anomaly;
use domain::{Tick, TickId, Token, Volume, cohort_bucket};

use super::parameters::Parameters;

const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 86_400_000;

/// A cell of an answer; `None` is NULL.
type Cell = Option<String>;

/// Columns and rows.
pub(super) type Table = (&'static [&'static str], Vec<Vec<Cell>>);

fn cell(value: impl ToString) -> Cell {
    Some(value.to_string())
}

/// A timestamp (UTC) as the engines' answers show it.
fn timestamp(time_ms: i64) -> Cell {
    let time = chrono::DateTime::from_timestamp_millis(time_ms).unwrap();
    Some(format!("{:?}", time.naive_utc()))
}

fn price(tick: &Tick) -> f64 {
    tick.price.to_f64()
}

fn volume(tick: &Tick) -> Option<f64> {
    tick.volume.map(Volume::to_f64)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of a sample, in two passes.
fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

fn least(values: impl Iterator<Item = f64>) -> f64 {
    values.min_by(f64::total_cmp).unwrap()
}

fn greatest(values: impl Iterator<Item = f64>) -> f64 {
    values.max_by(f64::total_cmp).unwrap()
}

/// The sum of the values that exist; `None` if there are none.
fn sum(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    values.flatten().reduce(|sum, value| sum + value)
}

type Pair = (String, String);

fn pair(tick: &Tick) -> Pair {
    (
        tick.token.as_str().to_owned(),
        tick.quote.as_str().to_owned(),
    )
}

fn grouped<K: Ord>(ticks: &[Tick], key: impl Fn(&Tick) -> K) -> BTreeMap<K, Vec<&Tick>> {
    let mut groups: BTreeMap<K, Vec<&Tick>> = BTreeMap::new();
    for tick in ticks {
        groups.entry(key(tick)).or_default().push(tick);
    }
    groups
}

/// The ticks that match token, quote and the range of time.
fn matching(ticks: &[Tick], given: &Parameters, from: i64, to: i64) -> Vec<Tick> {
    let names = |name: &str, value: &Token| {
        let wanted = given.text(name).unwrap_or_default();
        wanted.is_empty() || wanted == value.as_str()
    };
    let source = given.text("source").unwrap_or_default();
    ticks
        .iter()
        .filter(|tick| (from..to).contains(&tick.timestamp_ms))
        .filter(|tick| names("token", &tick.token) && names("quote", &tick.quote))
        .filter(|tick| source.is_empty() || source == tick.source.as_str())
        .cloned()
        .collect()
}

/// The trades among the ticks, or what is none.
fn of_series(ticks: Vec<Tick>, series: &str) -> Vec<Tick> {
    let trades = match series {
        "trades" => true,
        "quotes" => false,
        other => panic!("`{other}` is not a series"),
    };
    let ticks = ticks.into_iter();
    ticks
        .filter(|tick| tick.method.is_trade() == trades)
        .collect()
}

/// What makes two rows copies of one tick.
fn event(tick: &Tick) -> (Pair, i64, TickId) {
    (pair(tick), tick.timestamp_ms, tick.tick_id)
}

/// Each tick once; of copies, the lowest price counts, and the number of the one that has it.
fn once(ticks: Vec<Tick>) -> Vec<Tick> {
    let mut seen: BTreeMap<(Pair, i64, TickId), Tick> = BTreeMap::new();
    for tick in ticks {
        let kept = seen.entry(event(&tick)).or_insert_with(|| tick.clone());
        kept.price = kept.price.min(tick.price);
        kept.sequence = kept.sequence.or(tick.sequence);
    }
    seen.into_values().collect()
}

/// By time; within a millisecond, those without a number first, then by number, then by id.
fn in_order(mut ticks: Vec<&Tick>) -> Vec<&Tick> {
    ticks.sort_by_key(|tick| {
        let number = tick.sequence.unwrap_or_default();
        (
            tick.timestamp_ms,
            tick.sequence.is_some(),
            number,
            tick.tick_id,
        )
    });
    ticks
}

/// In order, each tick once.
fn in_order_once(ticks: &[&Tick]) -> Vec<Tick> {
    let once = once(ticks.iter().map(|tick| (*tick).clone()).collect());
    in_order(once.iter().collect())
        .into_iter()
        .cloned()
        .collect()
}

fn civil_day(tick: &Tick) -> (i32, u32, u32) {
    use chrono::Datelike as _;
    let day = chrono::DateTime::from_timestamp_millis(tick.timestamp_ms).unwrap();
    (day.year(), day.month(), day.day())
}

/// The queries on prices without the parameter `series`: they are on trades alone.
const TRADES_ALONE: [&str; 2] = ["vwap", "volume_by_source"];

/// What the tables have.
pub(super) struct Tables {
    pub(super) ticks: Vec<Tick>,
    pub(super) anomalies: Vec<Anomaly>,
    pub(super) quarantined: Vec<Quarantined>,
}

/// The answer to a query. A query that is not here has no reference.
pub(super) fn answer(query: &str, given: &Parameters, tables: &Tables) -> Table {
    let (from, to) = (given.time("from"), given.time_or("to", "at"));
    let Tables {
        ticks,
        anomalies,
        quarantined,
    } = tables;
    let alone = TRADES_ALONE.contains(&query).then(|| "trades".to_owned());
    let series = given.text("series").or(alone);
    let between = |from| match &series {
        Some(series) => of_series(matching(ticks, given, from, to), series),
        None => matching(ticks, given, from, to),
    };
    let ticks_between = between(from);
    match query {
        "anomalies" => anomalies::anomalies(anomalies, given, from, to),
        "monthly_prices" => prices::monthly_prices(&ticks_between),
        "candles" => {
            let mut ticks = once(ticks_between);
            if series.as_deref() == Some("quotes") {
                ticks.iter_mut().for_each(|tick| tick.volume = None);
            }
            prices::candles(ticks, given.integer("interval_s"))
        }
        "vwap" => prices::vwap(once(ticks_between), given.integer("interval_s")),
        "last_price" => prices::last_price(&ticks_between, to),
        "top_movers" => prices::top_movers(&ticks_between, given),
        "volatility" => prices::volatility(&ticks_between, given.integer("interval_s")),
        "gaps" => quality::gaps(&ticks_between, to, given.integer("min_gap_s")),
        "duplicates" => quality::duplicates(&ticks_between),
        "late_arrivals" => quality::late_arrivals(&ticks_between, given.integer("late_after_s")),
        "volume_by_source" => quality::volume_by_source(&ticks_between),
        "anomalies_around" => {
            let day_before = between(from - from % DAY_MS);
            quality::anomalies_around(once(day_before), from, given.double("threshold"))
        }
        "cohort_check" => quality::cohort_check(&ticks_between, given),
        "verify_counts" => quality::verify_counts(ticks, given, from, to),
        "data_quality" => quality::data_quality(quarantined, given, from, to),
        _ => panic!("no reference for `{query}`: add one beside the others"),
    }
}
