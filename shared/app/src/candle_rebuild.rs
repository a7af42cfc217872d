//! Computes the candles of a range of event time again from the stored ticks, compares them with the stored candles, and
//! replaces those that differ, if that is requested.
//!
//! A candle is only judged if all of its ticks are known to be in the store and in the analysis: not if one was received
//! a moment ago, nor if a release before 1.1 stored one, which did not keep whether it belongs to the stream. A stored
//! candle without stored ticks stays as it is. Averages and the detector look at the last minutes only, and are not
//! rebuilt.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{NaiveDate, NaiveTime};
use domain::analytics::{Candle, CandleSeries, Interval, Ohlcv, SeriesKind};
use domain::{MS_PER_DAY, Pair, Tick, Token};
use serde::{Deserialize, Serialize};

use crate::pace::Stopped;
use crate::ports::PortError;
use crate::read_back::StoredTick;

/// The event time whose ticks are in memory at once, milliseconds: as long as a block of candles.
const READ_MS: i64 = 600_000;

/// The most differences that are kept as examples; all are counted.
const EXAMPLES_MAX: usize = 20;

/// How much rounding may change a sum of doubles.
const ROUNDING: f64 = 1e-9;

/// Reads the store by event time.
#[async_trait]
pub trait EventTicks: Send + Sync {
    /// The tokens that have ticks with `from_ms <= event time < to_ms`, and possibly others, in order.
    async fn tokens(&self, from_ms: i64, to_ms: i64) -> Result<Vec<Token>, PortError>;

    /// The UTC days with events of `from_ms <= time < to_ms` of any token, and possibly others of the range.
    async fn days(&self, from_ms: i64, to_ms: i64) -> Result<BTreeSet<NaiveDate>, PortError>;

    /// The ticks of a token in all its quotes with `from_ms <= event time < to_ms`, in any order.
    async fn of_token(
        &self,
        token: &Token,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<StoredTick>, PortError>;
}

/// Which candle: its pair, its interval, and its start in epoch milliseconds.
pub type CandlePlace = (Pair, Interval, i64);

/// A candle that the stored ticks give, and the stored one.
#[derive(Debug, Clone, PartialEq)]
pub struct CandleChange {
    /// As it is stored; `None` if it is not.
    pub before: Option<Candle>,
    /// As it should be.
    pub after: Candle,
}

/// The changes of a pair in a span of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpanChanges {
    /// The changes; never of a candle twice.
    pub changes: Vec<CandleChange>,
    /// All counted ticks of the pair in the span, if the candles are stored with them.
    pub ticks: Vec<Tick>,
}

/// Stored candles that can be replaced.
#[async_trait]
pub trait RebuiltCandles: Send + Sync {
    /// The intervals of stored candles.
    fn intervals(&self) -> &[Interval];

    /// The length of the spans in which candles are replaced, milliseconds: a multiple of each interval and of ten
    /// minutes that divides a day.
    fn span_ms(&self) -> i64;

    /// Whether candles are stored with their ticks.
    fn needs_ticks(&self) -> bool;

    /// The stored candles of all intervals that start in a span: of pairs of a token, at least of those that have
    /// stored ticks in it.
    async fn stored(
        &self,
        token: &Token,
        with_ticks: &BTreeSet<Pair>,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<Candle>, PortError>;

    /// The candles of these pairs that the analysis has open, and stores as it has them, whatever is stored.
    async fn open(&self, pairs: &BTreeSet<Pair>) -> Result<BTreeSet<CandlePlace>, PortError>;

    /// Stores candles of a pair, each only if the stored one is still as it was compared, and none if others would be
    /// lost. Returns how many were stored.
    async fn replace(&self, pair: &Pair, span: SpanChanges) -> Result<u64, PortError>;
}

/// What is to be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildRequest {
    /// The first event time, epoch milliseconds. The range is widened to whole spans.
    pub from_ms: i64,
    /// The end, exclusive.
    pub to_ms: i64,
    /// Only these tokens; none means all.
    pub tokens: BTreeSet<Token>,
    /// Ticks that were received at this time or later may not be analysed yet, epoch milliseconds.
    pub received_before_ms: i64,
    /// Whether candles are replaced.
    pub apply: bool,
}

/// What was found, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RebuildReport {
    /// Tokens looked at.
    pub tokens: u64,
    /// Ticks that count in candles.
    pub ticks: u64,
    /// Of the tokens that were named, those without any such tick in the range.
    #[serde(default)]
    pub tokens_without_ticks: Vec<String>,
    /// Candles that are as they should be.
    pub same: u64,
    /// Candles that are not stored.
    pub missing: u64,
    /// Candles that differ.
    pub different: u64,
    /// Stored candles without stored ticks, which stay.
    pub without_ticks: u64,
    /// Candles that may still get ticks, and those that differ in what the analysis has open, which stay.
    pub growing: u64,
    /// Candles with ticks of which nobody knows whether they belong to the stream, which stay.
    pub undecided: u64,
    /// Candles that were replaced.
    pub replaced: u64,
    /// Some of the differences.
    pub examples: Vec<Difference>,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

/// A candle that is missing or differs, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The token.
    pub token: String,
    /// The quote.
    pub quote: String,
    /// Whether the figures are those of its trades or of its quotes.
    pub series: SeriesKind,
    /// The interval.
    pub interval: Interval,
    /// The start, epoch milliseconds.
    pub start: i64,
    /// As it is stored.
    pub before: Option<Figures>,
    /// As it should be.
    pub after: Figures,
}

/// The figures of a candle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Open, high, low, close.
    pub prices: [String; 4],
    /// The sum of volumes.
    pub volume: Option<String>,
    /// The number of ticks.
    pub tick_count: u64,
}

impl RebuildReport {
    /// Candles that are not as they should be.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.missing + self.different
    }
}

/// Compares, and replaces if that is requested. `progress` is called with the report after each token.
///
/// # Errors
/// [`PortError`], beside what was done before it. To repeat it is safe.
pub async fn rebuild(
    ticks: &dyn EventTicks,
    candles: &dyn RebuiltCandles,
    request: &RebuildRequest,
    stopped: Stopped<'_>,
    progress: &(dyn Fn(&RebuildReport) + Send + Sync),
) -> (RebuildReport, Result<(), PortError>) {
    let mut report = RebuildReport::default();
    let rebuild = Rebuild {
        ticks,
        candles,
        request,
    };
    let done = rebuild.all(&mut report, stopped, progress).await;
    (report, done)
}

struct Rebuild<'a> {
    ticks: &'a dyn EventTicks,
    candles: &'a dyn RebuiltCandles,
    request: &'a RebuildRequest,
}

/// A candle from the stored ticks.
struct Folded {
    candle: Candle,
    growing: bool,
    undecided: bool,
}

impl Rebuild<'_> {
    async fn all(
        &self,
        report: &mut RebuildReport,
        stopped: Stopped<'_>,
        progress: &(dyn Fn(&RebuildReport) + Send + Sync),
    ) -> Result<(), PortError> {
        let tokens = match self.request.tokens.is_empty() {
            true => {
                let (from_ms, to_ms) = (self.request.from_ms, self.request.to_ms);
                self.ticks.tokens(from_ms, to_ms).await?
            }
            false => self.request.tokens.iter().cloned().collect(),
        };
        let span_ms = self.candles.span_ms();
        let spans = self.spans(span_ms).await?;
        for token in tokens {
            let ticks_before = report.ticks;
            for from_ms in &spans {
                if stopped() {
                    report.stopped = true;
                    return Ok(());
                }
                self.span(&token, *from_ms, from_ms + span_ms, report)
                    .await?;
            }
            report.tokens += 1;
            if report.ticks == ticks_before && self.request.tokens.contains(&token) {
                report.tokens_without_ticks.push(token.to_string());
            }
            progress(report);
        }
        Ok(())
    }

    /// The starts of the spans that may have ticks.
    async fn spans(&self, span_ms: i64) -> Result<Vec<i64>, PortError> {
        let (from_ms, to_ms) = (self.request.from_ms, self.request.to_ms);
        // The range is widened to whole spans.
        let first_ms = from_ms.saturating_sub(from_ms.rem_euclid(span_ms));
        let days = self.ticks.days(first_ms, to_ms).await?;
        let mut spans = Vec::new();
        for day in days {
            let midnight_ms = day.and_time(NaiveTime::MIN).and_utc().timestamp_millis();
            let of_day = (0..MS_PER_DAY / span_ms).map(|n| midnight_ms + n * span_ms);
            spans.extend(of_day.filter(|start_ms| (first_ms..to_ms).contains(start_ms)));
        }
        Ok(spans)
    }

    async fn span(
        &self,
        token: &Token,
        from_ms: i64,
        to_ms: i64,
        report: &mut RebuildReport,
    ) -> Result<(), PortError> {
        let mut folded: BTreeMap<CandlePlace, Folded> = BTreeMap::new();
        let mut counted: BTreeMap<Pair, Vec<Tick>> = BTreeMap::new();
        let mut part_ms = from_ms;
        while part_ms < to_ms {
            let end_ms = (part_ms + READ_MS).min(to_ms);
            for row in self.ticks.of_token(token, part_ms, end_ms).await? {
                if !self.fold(&row, &mut folded) {
                    continue;
                }
                report.ticks += 1;
                if self.candles.needs_ticks() {
                    counted
                        .entry(Pair::of(&row.tick))
                        .or_default()
                        .push(row.tick);
                }
            }
            part_ms = end_ms;
        }
        let with_ticks: BTreeSet<Pair> = folded.keys().map(|(pair, ..)| pair.clone()).collect();
        let stored = self
            .candles
            .stored(token, &with_ticks, from_ms, to_ms)
            .await?;
        let place = |candle: &Candle| (candle.pair(), candle.interval, candle.start_ms);
        let mut stored: BTreeMap<CandlePlace, Candle> = stored
            .into_iter()
            .map(|candle| (place(&candle), candle))
            .collect();
        // Read only if a candle differs, since it is the state of the whole analysis of these pairs.
        let mut open: Option<BTreeSet<CandlePlace>> = None;
        let mut changes: BTreeMap<Pair, Vec<CandleChange>> = BTreeMap::new();
        // Pairs of which not all ticks of the span are known.
        let mut incomplete: BTreeSet<Pair> = BTreeSet::new();
        for (place, folded) in folded {
            let before = stored.remove(&place);
            if folded.undecided {
                report.undecided += 1;
                incomplete.insert(place.0);
                continue;
            }
            if folded.growing {
                report.growing += 1;
                incomplete.insert(place.0);
                continue;
            }
            let after = folded.candle;
            if before.as_ref().is_some_and(|it| is_same(it, &after)) {
                report.same += 1;
                continue;
            }
            let open = match &mut open {
                Some(open) => open,
                none => none.insert(self.candles.open(&with_ticks).await?),
            };
            if open.contains(&place) {
                report.growing += 1;
                incomplete.insert(place.0);
                continue;
            }
            match &before {
                Some(_) => report.different += 1,
                None => report.missing += 1,
            }
            if report.examples.len() < EXAMPLES_MAX {
                report.examples.extend(difference(before.as_ref(), &after));
            }
            changes
                .entry(place.0)
                .or_default()
                .push(CandleChange { before, after });
        }
        report.without_ticks += stored.len() as u64;
        if !self.request.apply {
            return Ok(());
        }
        for (pair, changes) in changes {
            // What is stored with its ticks is stored as a whole.
            if self.candles.needs_ticks() && incomplete.contains(&pair) {
                continue;
            }
            let ticks = counted.remove(&pair).unwrap_or_default();
            let span = SpanChanges { changes, ticks };
            report.replaced += self.candles.replace(&pair, span).await?;
        }
        Ok(())
    }

    /// Adds a stored tick to its candles; returns whether it counts.
    fn fold(&self, row: &StoredTick, folded: &mut BTreeMap<CandlePlace, Folded>) -> bool {
        let tick = &row.tick;
        // As the analysis: such a price is stored, and not used in candles.
        if row.in_cohort == Some(false) || tick.quality.is_some() {
            return false;
        }
        for interval in self.candles.intervals() {
            let place = (
                Pair::of(tick),
                *interval,
                interval.start_of(tick.timestamp_ms),
            );
            let one = Candle::of(tick, *interval);
            let folded = match folded.entry(place) {
                Entry::Occupied(held) => {
                    let held = held.into_mut();
                    held.candle.merge(&one);
                    held
                }
                Entry::Vacant(vacant) => vacant.insert(Folded {
                    candle: one,
                    growing: false,
                    undecided: false,
                }),
            };
            folded.undecided |= row.in_cohort.is_none();
            folded.growing |= tick.ingested_at_ms >= self.request.received_before_ms;
        }
        true
    }
}

/// Whether two candles have the same ticks: all but the revision, and the digits of sums that rounding may change.
fn is_same(stored: &Candle, rebuilt: &Candle) -> bool {
    let place = |it: &CandleSeries| (it.kind, it.source.clone());
    let pairs = || stored.series.iter().zip(&rebuilt.series);
    stored.series.len() == rebuilt.series.len()
        && pairs().all(|(one, other)| place(one) == place(other))
        && pairs().all(|(one, other)| has_same_ticks(&one.values, &other.values))
}

fn has_same_ticks(stored: &Ohlcv, rebuilt: &Ohlcv) -> bool {
    let close = |one: f64, other: f64| (one - other).abs() <= ROUNDING * one.abs().max(other.abs());
    let volumes = match (stored.volume, rebuilt.volume) {
        (Some(one), Some(other)) => close(one.to_f64(), other.to_f64()),
        (one, other) => one.is_none() && other.is_none(),
    };
    let exact = |it: &Ohlcv| {
        let prices = [it.open, it.high, it.low, it.close];
        (prices, it.tick_count, it.first, it.last)
    };
    volumes && close(stored.quote_volume, rebuilt.quote_volume) && exact(stored) == exact(rebuilt)
}

/// The difference of the trades if they differ, or else of the quotes.
fn difference(before: Option<&Candle>, after: &Candle) -> Option<Difference> {
    let figures = |values: Ohlcv| Figures {
        prices: [values.open, values.high, values.low, values.close].map(|price| price.to_string()),
        volume: values.volume.map(|volume| volume.to_string()),
        tick_count: values.tick_count,
    };
    let of_kind = |kind| {
        let before = before.and_then(|it| it.of_kind(kind));
        Some((kind, before, after.of_kind(kind)?))
    };
    let present = || SeriesKind::ALL.into_iter().filter_map(of_kind);
    let differing = present()
        .find(|(_, before, after)| before.is_none_or(|before| !has_same_ticks(&before, after)));
    let (series, before, after_values) = differing.or_else(|| present().next())?;
    Some(Difference {
        token: after.token.to_string(),
        quote: after.quote.to_string(),
        series,
        interval: after.interval,
        start: after.start_ms,
        before: before.map(figures),
        after: figures(after_values),
    })
}
