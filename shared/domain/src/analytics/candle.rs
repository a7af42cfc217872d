//! Candles: what the ticks of a pair did in one interval, by venue. Merging the same ticks in any order gives the
//! same candle.

use serde::{Deserialize, Serialize};

use super::Interval;
use super::ohlcv::Ohlcv;
use super::series_kind::SeriesKind;
use crate::{Pair, Price, SourceName, Tick, TickOrder, Token};

/// A candle has at most this many series of each kind. The ticks of further venues are in a series named
/// [`OTHER_VENUES`], so that senders cannot fill the memory with names.
const SERIES_PER_KIND_MAX: usize = 8;

/// The series that holds the ticks of further venues once a candle is full.
pub const OTHER_VENUES: &str = "other";

/// What the prices of a pair did in one interval of event time: a series of trades and one of quotes for each venue.
/// Over all venues, they are merged when they are read ([`Candle::of_kind`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candle {
    /// What is priced (the base).
    pub token: Token,
    /// The currency of the prices.
    pub quote: Token,
    /// Its interval.
    pub interval: Interval,
    /// The first millisecond of the interval since the epoch (UTC).
    pub start_ms: i64,
    /// Its series, sorted by kind and venue. At least one.
    pub series: Vec<CandleSeries>,
    /// 0 when first closed, and one more each time a late tick makes the store reissue it.
    pub revision: u32,
}

/// The trades or the quotes of one venue in a candle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandleSeries {
    /// Trades or quotes.
    pub kind: SeriesKind,
    /// The venue: the origin of the prices, or [`OTHER_VENUES`].
    pub source: SourceName,
    /// Its prices and volumes.
    pub values: Ohlcv,
}

impl Candle {
    /// The pair that it belongs to.
    #[must_use]
    pub fn pair(&self) -> Pair {
        Pair {
            token: self.token.clone(),
            quote: self.quote.clone(),
        }
    }

    /// The candle of that interval that contains only this tick.
    #[must_use]
    pub fn of(tick: &Tick, interval: Interval) -> Self {
        Self::begun(tick, interval, &Ohlcv::of(tick))
    }

    /// The same, with the values of that tick.
    pub(super) fn begun(tick: &Tick, interval: Interval, values: &Ohlcv) -> Self {
        let series = CandleSeries {
            kind: SeriesKind::of(tick),
            source: tick.source.clone(),
            values: *values,
        };
        Self {
            token: tick.token.clone(),
            quote: tick.quote.clone(),
            interval,
            start_ms: interval.start_of(tick.timestamp_ms),
            series: vec![series],
            revision: 0,
        }
    }

    /// The trades or the quotes of all venues; `None` if there are none.
    #[must_use]
    pub fn of_kind(&self, kind: SeriesKind) -> Option<Ohlcv> {
        self.merged(|it| it.kind == kind)
    }

    /// The trades or the quotes of one venue; `None` if there are none.
    #[must_use]
    pub fn of_venue(&self, kind: SeriesKind, source: &str) -> Option<Ohlcv> {
        self.merged(|it| it.kind == kind && it.source.as_str() == source)
    }

    fn merged(&self, is_wanted: impl Fn(&CandleSeries) -> bool) -> Option<Ohlcv> {
        let mut wanted = self.series.iter().filter(|it| is_wanted(it));
        let mut merged = wanted.next()?.values;
        wanted.for_each(|it| merged.merge(&it.values));
        Some(merged)
    }

    /// The number of ticks in it.
    #[must_use]
    pub fn tick_count(&self) -> u64 {
        let counts = self.series.iter().map(|it| it.values.tick_count);
        counts.fold(0, u64::saturating_add)
    }

    /// The place and the price of its last tick.
    #[must_use]
    pub fn last(&self) -> Option<(TickOrder, Price)> {
        let last = self
            .series
            .iter()
            .map(|it| (it.values.last, it.values.close));
        last.max()
    }

    /// Adds the ticks of another part of the same candle. The parts must have no tick in common.
    ///
    /// Commutative and associative, except for the rounding of quote volumes, and as long as there are no
    /// [`OTHER_VENUES`]. The revision becomes the greater of the two; whoever reissues the result adds one to it.
    ///
    /// Passing a part of a different candle (see [`Candle::is_part_of`]) is a bug in the caller;
    /// the part is ignored.
    pub fn merge(&mut self, other: &Self) {
        debug_assert!(
            other.is_part_of(self),
            "{other:?} is not a part of {self:?}"
        );
        if !other.is_part_of(self) {
            return;
        }
        for series in &other.series {
            self.merge_series(series.kind, &series.source, &series.values);
        }
        self.revision = self.revision.max(other.revision);
    }

    /// Adds a tick.
    pub(super) fn add(&mut self, tick: &Tick, values: &Ohlcv) {
        self.merge_series(SeriesKind::of(tick), &tick.source, values);
    }

    fn merge_series(&mut self, kind: SeriesKind, source: &SourceName, values: &Ohlcv) {
        let at = match self.position(kind, source.as_str()) {
            Err(_) if self.is_full(kind) => self.position(kind, OTHER_VENUES),
            position => position,
        };
        match at {
            Ok(at) => {
                if let Some(held) = self.series.get_mut(at) {
                    held.values.merge(values);
                }
            }
            Err(at) => {
                let other = SourceName::new(OTHER_VENUES).ok();
                let series = CandleSeries {
                    kind,
                    source: other
                        .filter(|_| self.is_full(kind))
                        .unwrap_or_else(|| source.clone()),
                    values: *values,
                };
                self.series.insert(at, series);
            }
        }
    }

    fn is_full(&self, kind: SeriesKind) -> bool {
        let of_kind = self.series.iter().filter(|it| it.kind == kind);
        of_kind.count() >= SERIES_PER_KIND_MAX
    }

    fn position(&self, kind: SeriesKind, source: &str) -> Result<usize, usize> {
        self.series
            .binary_search_by(|it| (it.kind, it.source.as_str()).cmp(&(kind, source)))
    }

    /// Whether both are of the same pair, interval and start.
    #[must_use]
    pub fn is_part_of(&self, other: &Self) -> bool {
        (self.start_ms, self.interval) == (other.start_ms, other.interval)
            && self.token == other.token
            && self.quote == other.quote
    }

    /// The first millisecond after the interval.
    #[must_use]
    pub fn end_ms(&self) -> i64 {
        self.start_ms.saturating_add(self.interval.duration_ms())
    }
}

#[cfg(test)]
mod tests;
