//! The queries on prices: averages, candles, last prices, moves.

use super::*;

pub(super) fn monthly_prices(ticks: &[Tick]) -> Table {
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

pub(super) fn candles(ticks: Vec<Tick>, seconds: i64) -> Table {
    let row = |((quote, start), ticks): ((String, i64), Vec<&Tick>)| {
        let ticks = in_order(ticks);
        vec![
            cell(quote),
            timestamp(start),
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
            "quote", "start", "open", "high", "low", "close", "volume", "ticks",
        ],
        intervals(&ticks, seconds).into_iter().map(row).collect(),
    )
}

pub(super) fn vwap(ticks: Vec<Tick>, seconds: i64) -> Table {
    let row = |((quote, start), ticks): ((String, i64), Vec<&Tick>)| {
        let total = sum(ticks.iter().map(|tick| volume(tick)));
        let worth = sum(ticks.iter().map(|tick| Some(volume(tick)? * price(tick))));
        let prices: Vec<f64> = ticks.iter().map(|tick| price(tick)).collect();
        let weighed = total.filter(|total| *total > 0.0).zip(worth);
        vec![
            cell(quote),
            timestamp(start),
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
            "start",
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

pub(super) fn last_price(ticks: &[Tick], at: i64) -> Table {
    let row = |((token, quote), ticks): (Pair, Vec<&Tick>)| {
        let last = in_order_once(&ticks).pop().unwrap();
        vec![
            cell(token),
            cell(quote),
            cell(price(&last)),
            cell(last.source.as_str()),
            timestamp(last.timestamp_ms),
            cell(at - last.timestamp_ms),
        ]
    };
    (
        &["token", "quote", "price", "source", "last", "age_ms"],
        grouped(ticks, pair).into_iter().map(row).collect(),
    )
}

/// The change, the pair, its first and last price, and its ticks.
type Move<'a> = (f64, Pair, ((f64, f64), Vec<&'a Tick>));

pub(super) fn top_movers(ticks: &[Tick], given: &Parameters) -> Table {
    let mut moves: Vec<Move<'_>> = grouped(ticks, pair)
        .into_iter()
        .filter(|(_, ticks)| ticks.len() as i64 >= given.integer("min_ticks"))
        .map(|(pair, ticks)| {
            let in_order = in_order_once(&ticks);
            let ends = (price(&in_order[0]), price(&in_order[in_order.len() - 1]));
            (ends.1 / ends.0 - 1.0, pair, (ends, ticks))
        })
        .collect();
    moves.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()).then_with(|| a.1.cmp(&b.1)));
    moves.truncate(usize::try_from(given.integer("top")).unwrap());
    let row = |(place, (change, (token, quote), (ends, ticks))): (usize, Move<'_>)| {
        vec![
            cell(place),
            cell(token),
            cell(quote),
            cell(ends.0),
            cell(ends.1),
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

pub(super) fn volatility(ticks: &[Tick], seconds: i64) -> Table {
    let step = seconds * SECOND_MS;
    let mut rows = Vec::new();
    for ((token, quote), ticks) in grouped(ticks, pair) {
        let mut closes: BTreeMap<i64, f64> = BTreeMap::new();
        for tick in in_order_once(&ticks) {
            closes.insert(tick.timestamp_ms / step, price(&tick));
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
