//! The plain reference: ticks sorted by their order and grouped by their intervals.

use std::collections::{BTreeMap, BTreeSet};

use app::ports::CohortTick;
use domain::analytics::{Candle, CandleSeries, Interval, Ohlcv, SeriesKind, TotalVolume};
use domain::{Method, Pair, Rollout, SourceName, Tick, TickIdentity};

/// What each path holds at the end of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The store, with the decisions.
    pub(crate) stored: Vec<CohortTick>,
    /// The stream, in any order; a tick may be in it twice.
    pub(crate) streamed: Vec<Tick>,
    /// The stored candles.
    pub(crate) candles: Vec<Candle>,
    /// The archive after compaction, if the system has one here.
    pub(crate) archived: Option<Vec<Tick>>,
    /// Every live message, in any order.
    pub(crate) announced: Vec<Tick>,
}

/// What the senders and operators did.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Every delivered tick, with the flag in force at that try.
    pub(crate) tries: Vec<(Tick, Rollout)>,
    /// The store's content after each step, which must never change.
    pub(crate) first_writes: BTreeMap<TickIdentity, CohortTick>,
}

impl History {
    /// Compares the store with what it held before: the first write of a tick stays as it is.
    pub(crate) fn observe(&mut self, stored: &[CohortTick]) {
        let now: BTreeMap<TickIdentity, &CohortTick> =
            stored.iter().map(|it| (it.tick.identity(), it)).collect();
        assert_eq!(now.len(), stored.len(), "the store holds a tick twice");
        for (identity, first) in &self.first_writes {
            assert_eq!(now.get(identity), Some(&first), "the first write stays");
        }
        self.first_writes = stored
            .iter()
            .map(|it| (it.tick.identity(), it.clone()))
            .collect();
    }
}

/// Compares the outcome of a run with the reference.
pub(crate) fn check(history: &History, outcome: &Outcome) {
    let delivered: BTreeSet<TickIdentity> = history
        .tries
        .iter()
        .map(|(tick, _)| tick.identity())
        .collect();
    let stored: BTreeMap<TickIdentity, &CohortTick> = outcome
        .stored
        .iter()
        .map(|it| (it.tick.identity(), it))
        .collect();
    assert_eq!(
        stored.len(),
        outcome.stored.len(),
        "the store holds a tick twice"
    );
    assert!(
        stored.keys().eq(&delivered),
        "store = deliveries: {stored:?} {delivered:?}"
    );
    for (
        identity,
        CohortTick {
            tick, in_cohort, ..
        },
    ) in &stored
    {
        let same = |(tried, _): &&(Tick, Rollout)| tried.identity() == *identity;
        let content = |tried: &Tick| Tick {
            ingested_at_ms: 0,
            ..tried.clone()
        };
        assert!(
            history.tries.iter().filter(same).any(|(tried, flag)| {
                content(tried) == content(tick) && flag.admits(tick) == *in_cohort
            }),
            "the decision is that of a flag in force when it was delivered: {tick:?}"
        );
    }
    let cohort: BTreeMap<TickIdentity, &Tick> = stored
        .iter()
        .filter(|(_, it)| it.in_cohort)
        .map(|(identity, it)| (identity.clone(), &it.tick))
        .collect();
    let streamed: BTreeMap<TickIdentity, &Tick> = outcome
        .streamed
        .iter()
        .map(|tick| (tick.identity(), tick))
        .collect();
    assert_eq!(streamed, cohort, "stream = store of the cohort");
    if let Some(archived) = &outcome.archived {
        let mut rows: Vec<TickIdentity> = archived.iter().map(Tick::identity).collect();
        rows.sort();
        assert!(
            rows.iter().eq(cohort.keys()),
            "archive = store of the cohort"
        );
    }
    let mut announced: Vec<TickIdentity> = outcome.announced.iter().map(Tick::identity).collect();
    announced.sort();
    let announcements = announced.len();
    announced.dedup();
    assert_eq!(announced.len(), announcements, "a live message came twice");
    let expected = candles(cohort.into_values());
    let mut found: Vec<Candle> = outcome.candles.iter().cloned().map(comparable).collect();
    found.sort_by_key(key);
    assert_eq!(found, expected, "candles");
}

fn key(candle: &Candle) -> (Pair, Interval, i64) {
    (candle.pair(), candle.interval, candle.start_ms)
}

/// Without what may differ by design: revisions, and the last digits of a double.
fn comparable(mut candle: Candle) -> Candle {
    candle.revision = 0;
    for series in &mut candle.series {
        series.values.quote_volume = 0.0;
    }
    candle
}

/// The candles of ticks, by their definition.
fn candles<'a>(ticks: impl Iterator<Item = &'a Tick>) -> Vec<Candle> {
    let mut ticks: Vec<&Tick> = ticks.filter(|tick| tick.quality.is_none()).collect();
    ticks.sort_by_key(|tick| tick.order());
    let mut groups: BTreeMap<(Pair, Interval, i64), Vec<&Tick>> = BTreeMap::new();
    for tick in ticks {
        for interval in Interval::ALL {
            let start_ms = tick.timestamp_ms - tick.timestamp_ms.rem_euclid(interval.duration_ms());
            let group = groups.entry((Pair::of(tick), interval, start_ms));
            group.or_default().push(tick);
        }
    }
    let candle =
        |((pair, interval, start_ms), group): ((Pair, Interval, i64), Vec<&Tick>)| Candle {
            token: pair.token,
            quote: pair.quote,
            interval,
            start_ms,
            series: series(&group),
            revision: 0,
        };
    groups.into_iter().map(candle).collect()
}

/// The series of ticks that are in order: the trades and the quotes of each venue.
fn series(ticks: &[&Tick]) -> Vec<CandleSeries> {
    let mut of_venues: BTreeMap<(SeriesKind, &SourceName), Vec<&Tick>> = BTreeMap::new();
    for tick in ticks {
        let kind = match tick.method {
            Method::Ticker | Method::Oracle | Method::Quote => SeriesKind::Quotes,
            Method::Reported | Method::Trade | Method::SwapEvent | Method::NetBalances => {
                SeriesKind::Trades
            }
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
    series.collect()
}
