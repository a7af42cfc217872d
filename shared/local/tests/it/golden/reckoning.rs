//! The answers to the named queries, reckoned from the ticks one by one and without SQL: what the
//! golden answers are held against.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use app::ports::Quarantined;
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

/// The sum of those that are there, and `None` where none is.
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

/// The ticks that token, quote and the range of time leave.
fn asked_for(ticks: &[Tick], given: &Parameters, from: i64, to: i64) -> Vec<Tick> {
    let names = |name: &str, value: &Token| {
        let asked = given.text(name).unwrap_or_default();
        asked.is_empty() || asked == value.as_str()
    };
    ticks
        .iter()
        .filter(|tick| (from..to).contains(&tick.timestamp_ms))
        .filter(|tick| names("token", &tick.token) && names("quote", &tick.quote))
        .cloned()
        .collect()
}

/// Each tick once; of copies the lowest price counts.
fn once(ticks: Vec<Tick>) -> Vec<Tick> {
    let mut seen: BTreeMap<TickId, Tick> = BTreeMap::new();
    for tick in ticks {
        let kept = seen.entry(tick.tick_id).or_insert_with(|| tick.clone());
        kept.price = kept.price.min(tick.price);
    }
    seen.into_values().collect()
}

fn in_order(mut ticks: Vec<&Tick>) -> Vec<&Tick> {
    ticks.sort_by_key(|tick| (tick.timestamp_ms, tick.tick_id));
    ticks
}

/// Ordered by time, and by price within a millisecond.
fn by_price(mut ticks: Vec<&Tick>) -> Vec<&Tick> {
    ticks.sort_by_key(|tick| (tick.timestamp_ms, tick.price));
    ticks
}

fn civil_day(tick: &Tick) -> (i32, u32, u32) {
    use chrono::Datelike as _;
    let day = chrono::DateTime::from_timestamp_millis(tick.timestamp_ms).unwrap();
    (day.year(), day.month(), day.day())
}

/// The answer to a query. A query that is not here has no golden answer to be held against.
pub(super) fn answer(
    query: &str,
    given: &Parameters,
    ticks: &[Tick],
    quarantined: &[Quarantined],
) -> Table {
    let (from, to) = (given.time("from"), given.time_or("to", "at"));
    let asked = asked_for(ticks, given, from, to);
    match query {
        "monthly_prices" => monthly_prices(&asked),
        "candles" => candles(once(asked), given.integer("interval_s")),
        "vwap" => vwap(once(asked), given.integer("interval_s")),
        "last_price" => last_price(&asked, to),
        "top_movers" => top_movers(&asked, given),
        "volatility" => volatility(&asked, given.integer("interval_s")),
        "gaps" => gaps(&asked, to, given.integer("min_gap_s")),
        "duplicates" => duplicates(&asked),
        "late_arrivals" => late_arrivals(&asked, given.integer("late_after_s")),
        "volume_by_source" => volume_by_source(&asked),
        "anomalies_around" => {
            let day_before = asked_for(ticks, given, from - from % DAY_MS, to);
            anomalies_around(once(day_before), from, given.double("threshold"))
        }
        "cohort_check" => cohort_check(&asked, given),
        "data_quality" => data_quality(quarantined, given, from, to),
        _ => panic!("no reckoning of `{query}`: add one to this file"),
    }
}

fn monthly_prices(ticks: &[Tick]) -> Table {
    let months = grouped(ticks, |tick| {
        let (year, month, _) = civil_day(tick);
        (pair(tick), year, month)
    });
    let row = |(((token, quote), year, month), ticks): ((Pair, i32, u32), Vec<&Tick>)| {
        let prices: Vec<f64> = ticks.iter().map(|tick| price(tick)).collect();
        vec![
            cell(token),
            cell(quote),
            cell(year),
            cell(month),
            cell(mean(&prices)),
            cell(least(prices.iter().copied())),
            cell(greatest(prices.iter().copied())),
            cell(prices.len()),
        ]
    };
    (
        &[
            "token",
            "quote",
            "year",
            "month",
            "avg_price",
            "min_price",
            "max_price",
            "ticks",
        ],
        months.into_iter().map(row).collect(),
    )
}

/// The ticks of each quote and interval.
fn intervals(ticks: &[Tick], seconds: i64) -> BTreeMap<(String, i64), Vec<&Tick>> {
    grouped(ticks, |tick| {
        let start = tick.timestamp_ms.div_euclid(seconds * SECOND_MS) * seconds * SECOND_MS;
        (tick.quote.as_str().to_owned(), start)
    })
}

fn candles(ticks: Vec<Tick>, seconds: i64) -> Table {
    let row = |((quote, start), ticks): ((String, i64), Vec<&Tick>)| {
        let ticks = in_order(ticks);
        vec![
            cell(quote),
            cell(start),
            cell(price(ticks[0])),
            cell(greatest(ticks.iter().map(|tick| price(tick)))),
            cell(least(ticks.iter().map(|tick| price(tick)))),
            cell(price(ticks[ticks.len() - 1])),
            sum(ticks.iter().map(|tick| volume(tick))).and_then(cell),
            cell(ticks.len()),
        ]
    };
    (
        &[
            "quote", "start_ms", "open", "high", "low", "close", "volume", "ticks",
        ],
        intervals(&ticks, seconds).into_iter().map(row).collect(),
    )
}

fn vwap(ticks: Vec<Tick>, seconds: i64) -> Table {
    let row = |((quote, start), ticks): ((String, i64), Vec<&Tick>)| {
        let total = sum(ticks.iter().map(|tick| volume(tick)));
        let worth = sum(ticks.iter().map(|tick| Some(volume(tick)? * price(tick))));
        let prices: Vec<f64> = ticks.iter().map(|tick| price(tick)).collect();
        let weighed = total.filter(|total| *total > 0.0).zip(worth);
        vec![
            cell(quote),
            cell(start),
            weighed.and_then(|(total, worth)| cell(worth / total)),
            total.and_then(cell),
            worth.and_then(cell),
            cell(mean(&prices)),
            cell(ticks.len()),
            cell(ticks.iter().filter(|tick| tick.volume.is_none()).count()),
        ]
    };
    (
        &[
            "quote",
            "start_ms",
            "vwap",
            "volume",
            "quote_volume",
            "avg_price",
            "ticks",
            "ticks_without_volume",
        ],
        intervals(&ticks, seconds).into_iter().map(row).collect(),
    )
}

fn last_price(ticks: &[Tick], at: i64) -> Table {
    let row = |((token, quote), ticks): (Pair, Vec<&Tick>)| {
        let last = *in_order(ticks).last().unwrap();
        vec![
            cell(token),
            cell(quote),
            cell(price(last)),
            cell(last.source.as_str()),
            cell(last.timestamp_ms),
            cell(at - last.timestamp_ms),
        ]
    };
    (
        &["token", "quote", "price", "source", "last_ms", "age_ms"],
        grouped(ticks, pair).into_iter().map(row).collect(),
    )
}

fn top_movers(ticks: &[Tick], given: &Parameters) -> Table {
    let mut moves: Vec<(f64, Pair, Vec<&Tick>)> = grouped(ticks, pair)
        .into_iter()
        .filter(|(_, ticks)| ticks.len() as i64 >= given.integer("min_ticks"))
        .map(|(pair, ticks)| {
            let ticks = by_price(ticks);
            let change = price(ticks[ticks.len() - 1]) / price(ticks[0]) - 1.0;
            (change, pair, ticks)
        })
        .collect();
    moves.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()).then_with(|| a.1.cmp(&b.1)));
    moves.truncate(usize::try_from(given.integer("top")).unwrap());
    let row = |(place, (change, (token, quote), ticks)): (usize, (f64, Pair, Vec<&Tick>))| {
        vec![
            cell(place),
            cell(token),
            cell(quote),
            cell(price(ticks[0])),
            cell(price(ticks[ticks.len() - 1])),
            cell(100.0 * change),
            cell(least(ticks.iter().map(|tick| price(tick)))),
            cell(greatest(ticks.iter().map(|tick| price(tick)))),
            cell(ticks.len()),
        ]
    };
    (
        &[
            "place",
            "token",
            "quote",
            "first_price",
            "last_price",
            "change_pct",
            "low",
            "high",
            "ticks",
        ],
        (1..).zip(moves).map(row).collect(),
    )
}

fn volatility(ticks: &[Tick], seconds: i64) -> Table {
    let step = seconds * SECOND_MS;
    let mut rows = Vec::new();
    for ((token, quote), ticks) in grouped(ticks, pair) {
        let mut closes: BTreeMap<i64, f64> = BTreeMap::new();
        for tick in by_price(ticks) {
            closes.insert(tick.timestamp_ms / step, price(tick));
        }
        let returns: Vec<f64> = closes
            .iter()
            .filter_map(|(at, close)| Some((close / closes.get(&(at - 1))?).ln()))
            .collect();
        if returns.len() < 2 {
            continue;
        }
        let volatility = deviation(&returns);
        let per_year = volatility * (365.0 * 86_400.0 / seconds as f64).sqrt();
        let row = vec![
            cell(token),
            cell(quote),
            cell(returns.len()),
            cell(volatility),
            cell(per_year),
            cell(least(returns.iter().copied())),
            cell(greatest(returns.iter().copied())),
        ];
        rows.push((volatility, row));
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    (
        &[
            "token",
            "quote",
            "returns",
            "volatility",
            "volatility_per_year",
            "least_return",
            "greatest_return",
        ],
        rows.into_iter().map(|(_, row)| row).collect(),
    )
}

fn gaps(ticks: &[Tick], to: i64, min_gap_s: i64) -> Table {
    let mut gaps = Vec::new();
    for (pair, ticks) in grouped(ticks, pair) {
        let times: Vec<i64> = in_order(ticks)
            .iter()
            .map(|tick| tick.timestamp_ms)
            .collect();
        for (position, start) in times.iter().enumerate() {
            let next = times.get(position + 1).copied();
            let end = next.unwrap_or(to);
            if end - start >= min_gap_s * SECOND_MS {
                gaps.push((start - end, pair.clone(), *start, end, next.is_none()));
            }
        }
    }
    gaps.sort();
    let row = |(length, (token, quote), start, end, still_open): (i64, Pair, i64, i64, bool)| {
        vec![
            cell(token),
            cell(quote),
            cell(start),
            cell(end),
            cell(-length as f64 / 1e3),
            cell(still_open),
        ]
    };
    (
        &[
            "token",
            "quote",
            "gap_start_ms",
            "gap_end_ms",
            "gap_s",
            "still_open",
        ],
        gaps.into_iter().map(row).collect(),
    )
}

fn duplicates(ticks: &[Tick]) -> Table {
    let mut copies: Vec<_> = grouped(ticks, |tick| (pair(tick), tick.tick_id))
        .into_iter()
        .filter(|(_, copies)| copies.len() > 1)
        .collect();
    copies.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    let row = |(((token, quote), id), copies): ((Pair, TickId), Vec<&Tick>)| {
        let times = |of: fn(&Tick) -> i64| copies.iter().map(move |tick| of(tick));
        let prices: BTreeSet<_> = copies.iter().map(|tick| tick.price).collect();
        vec![
            cell(token),
            cell(quote),
            cell(id),
            cell(copies.len()),
            times(|tick| tick.timestamp_ms).min().and_then(cell),
            times(|tick| tick.timestamp_ms).max().and_then(cell),
            times(|tick| tick.ingested_at_ms).min().and_then(cell),
            times(|tick| tick.ingested_at_ms).max().and_then(cell),
            cell(prices.len() > 1),
        ]
    };
    (
        &[
            "token",
            "quote",
            "tick_id",
            "copies",
            "first_ms",
            "last_ms",
            "first_ingested_ms",
            "last_ingested_ms",
            "prices_differ",
        ],
        copies.into_iter().map(row).collect(),
    )
}

fn late_arrivals(ticks: &[Tick], late_after_s: i64) -> Table {
    let delay = |tick: &&Tick| tick.ingested_at_ms - tick.timestamp_ms;
    let late = |ticks: &[&Tick]| {
        let is_late = |tick: &&&Tick| delay(tick) >= late_after_s * SECOND_MS;
        ticks.iter().filter(is_late).count()
    };
    let mut sources: Vec<_> = grouped(ticks, |tick| tick.source.as_str().to_owned())
        .into_iter()
        .collect();
    sources.sort_by(|a, b| late(&b.1).cmp(&late(&a.1)).then_with(|| a.0.cmp(&b.0)));
    let row = |(source, ticks): (String, Vec<&Tick>)| {
        let after_its_day =
            |tick: &&&Tick| tick.ingested_at_ms / DAY_MS > tick.timestamp_ms / DAY_MS;
        let delays: Vec<f64> = ticks.iter().map(|tick| delay(tick) as f64).collect();
        vec![
            cell(source),
            cell(ticks.len()),
            cell(late(&ticks)),
            cell(100.0 * late(&ticks) as f64 / ticks.len() as f64),
            cell(ticks.iter().filter(after_its_day).count()),
            cell(mean(&delays)),
            ticks.iter().map(delay).min().and_then(cell),
            ticks.iter().map(delay).max().and_then(cell),
        ]
    };
    (
        &[
            "source",
            "ticks",
            "late",
            "late_pct",
            "after_its_day",
            "avg_delay_ms",
            "min_delay_ms",
            "max_delay_ms",
        ],
        sources.into_iter().map(row).collect(),
    )
}

fn volume_by_source(ticks: &[Tick]) -> Table {
    let worth = |tick: &&Tick| Some(volume(tick)? * price(tick));
    let of_pairs: BTreeMap<Pair, Option<f64>> = grouped(ticks, pair)
        .into_iter()
        .map(|(pair, ticks)| (pair, sum(ticks.iter().map(worth))))
        .collect();
    let sources = grouped(ticks, |tick| (pair(tick), tick.source.as_str().to_owned()));
    let row = |((pair, source), ticks): ((Pair, String), Vec<&Tick>)| {
        let own = sum(ticks.iter().map(worth));
        let all = of_pairs[&pair].filter(|all| *all > 0.0);
        vec![
            cell(pair.0),
            cell(pair.1),
            cell(source),
            cell(ticks.len()),
            cell(ticks.iter().filter(|tick| tick.volume.is_none()).count()),
            sum(ticks.iter().map(|tick| volume(tick))).and_then(cell),
            own.and_then(cell),
            own.zip(all).and_then(|(own, all)| cell(100.0 * own / all)),
        ]
    };
    (
        &[
            "token",
            "quote",
            "source",
            "ticks",
            "ticks_without_volume",
            "volume",
            "quote_volume",
            "share_pct",
        ],
        sources.into_iter().map(row).collect(),
    )
}

fn anomalies_around(ticks: Vec<Tick>, from: i64, threshold: f64) -> Table {
    let mut rows = Vec::new();
    for (quote, ticks) in grouped(&ticks, |tick| tick.quote.as_str().to_owned()) {
        let ticks = in_order(ticks);
        for (position, tick) in ticks.iter().enumerate() {
            let before: Vec<f64> = ticks[position.saturating_sub(100)..position]
                .iter()
                .map(|tick| price(tick))
                .collect();
            if before.len() < 20 || tick.timestamp_ms < from {
                continue;
            }
            let mean = mean(&before);
            let score = (price(tick) - mean) / deviation(&before).max(mean * 1e-4);
            if score.abs().partial_cmp(&threshold) == Some(Ordering::Less) {
                continue;
            }
            rows.push(vec![
                cell(&quote),
                cell(tick.timestamp_ms),
                cell(price(tick)),
                cell(mean),
                cell(100.0 * (price(tick) / mean - 1.0)),
                cell(score),
                cell(tick.source.as_str()),
                cell(tick.tick_id),
            ]);
        }
    }
    (
        &[
            "quote",
            "time_ms",
            "price",
            "mean",
            "deviation_pct",
            "score",
            "source",
            "tick_id",
        ],
        rows,
    )
}

fn cohort_check(ticks: &[Tick], given: &Parameters) -> Table {
    // The domain's own percentages, which the rollout goes by.
    let percentage: domain::Percentage = given.text("percentage").unwrap().parse().unwrap();
    let bucket = |tick: &&Tick| match given.text("key").as_deref() {
        Some("token") => cohort_bucket(tick.token.as_str()),
        _ => cohort_bucket(&tick.tick_id.to_string()),
    };
    let row = |((year, month, day), ticks): ((i32, u32, u32), Vec<&Tick>)| {
        let inside = ticks.iter().filter(|tick| percentage.admits(bucket(tick)));
        let inside = inside.count();
        vec![
            cell(year),
            cell(month),
            cell(day),
            cell(ticks.len()),
            cell(inside),
            cell(ticks.len() - inside),
            ticks.iter().map(bucket).max().and_then(cell),
        ]
    };
    (
        &[
            "year",
            "month",
            "day",
            "ticks",
            "in_cohort",
            "outside",
            "highest_bucket",
        ],
        grouped(ticks, civil_day).into_iter().map(row).collect(),
    )
}

fn data_quality(entries: &[Quarantined], given: &Parameters, from: i64, to: i64) -> Table {
    let source = given.text("source").unwrap_or_default();
    let mut groups: BTreeMap<(&str, String, &str), Vec<&Quarantined>> = BTreeMap::new();
    for kept in entries {
        if (from..to).contains(&kept.received_at_ms) && (source.is_empty() || source == kept.source)
        {
            let reason = kept.entry.reason;
            let severity = serde_json::to_value(reason.severity()).unwrap();
            let severity = severity.as_str().unwrap().to_owned();
            groups
                .entry((reason.as_str(), severity, &kept.source))
                .or_default()
                .push(kept);
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    let row = |((reason, severity, source), kept): ((&str, String, &str), Vec<&Quarantined>)| {
        let newest = kept
            .iter()
            .max_by_key(|kept| (kept.received_at_ms, &kept.entry.message))
            .unwrap();
        vec![
            cell(reason),
            cell(severity),
            cell(source),
            cell(kept.len()),
            cell(kept.iter().map(|kept| kept.entry.raw_bytes).sum::<usize>()),
            kept.iter()
                .map(|kept| kept.received_at_ms)
                .min()
                .and_then(cell),
            kept.iter()
                .map(|kept| kept.received_at_ms)
                .max()
                .and_then(cell),
            cell(&newest.entry.message),
        ]
    };
    (
        &[
            "reason",
            "severity",
            "source",
            "entries",
            "raw_bytes",
            "first_received_ms",
            "last_received_ms",
            "example",
        ],
        groups.into_iter().map(row).collect(),
    )
}
