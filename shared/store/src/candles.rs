//! Reads candles: a candle that was changed on several days has a row of each, and that of the latest day
//! holds.

use std::collections::BTreeMap;

use domain::analytics::{Candle, Interval, SeriesKind};

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::day::{self, Day};
use crate::keys::{candle, number_of};
use crate::shared_state::SharedState;
use crate::ticks::{TickRange, pairs_of};

/// Which candles are wanted: those with ticks of a series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CandleFilter {
    /// Trades or quotes; `None` for either.
    pub series: Option<SeriesKind>,
    /// The venue; `None` for any.
    pub source: Option<String>,
}

impl CandleFilter {
    fn takes(&self, candle: &Candle) -> bool {
        candle.series.iter().any(|it| {
            let source = self.source.as_deref();
            self.series.is_none_or(|series| it.kind == series)
                && source.is_none_or(|source| it.source.as_str() == source)
        })
    }
}

impl EmbeddedStore {
    /// A token's candles whose start is in a range, in ascending order; only the latest if there are
    /// more than `limit`. `None` if the token is not known.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn candles(
        &self,
        token: &str,
        quote: Option<&str>,
        interval: Interval,
        range: TickRange,
    ) -> Result<Option<Vec<Candle>>, StorageError> {
        let all = CandleFilter::default();
        self.candles_of(&all, token, quote, interval, range).await
    }

    /// Those of [`EmbeddedStore::candles`] that have ticks of a series.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn candles_of(
        &self,
        wanted: &CandleFilter,
        token: &str,
        quote: Option<&str>,
        interval: Interval,
        range: TickRange,
    ) -> Result<Option<Vec<Candle>>, StorageError> {
        let wanted = wanted.clone();
        let (token, quote) = (token.to_owned(), quote.map(str::to_owned));
        self.read(move |inner| {
            let pairs = pairs_of(inner, &token, quote.as_deref())?;
            if pairs.is_empty() {
                return Ok(None);
            }
            let mut found: Vec<Candle> = Vec::new();
            for (_, number) in pairs {
                let of_pair = in_range(inner, number, interval, &wanted, range)?;
                found.extend(of_pair.into_values());
                if found.len() > range.limit.saturating_mul(2) {
                    keep_latest(&mut found, range.limit);
                }
            }
            keep_latest(&mut found, range.limit);
            Ok(Some(found))
        })
        .await
    }
}

/// Sorts candles and keeps the latest.
fn keep_latest(found: &mut Vec<Candle>, limit: usize) {
    found.sort_by(|a, b| (a.start_ms, &a.quote).cmp(&(b.start_ms, &b.quote)));
    found.drain(..found.len().saturating_sub(limit));
}

/// A pair's last candles of a range, by start.
fn in_range(
    inner: &SharedState,
    number: u32,
    interval: Interval,
    wanted: &CandleFilter,
    range: TickRange,
) -> Result<BTreeMap<u64, Candle>, StorageError> {
    let mut found = BTreeMap::new();
    let (first_event, last_event) = (day::of(range.from_ms), day::of(range.to_ms));
    for day in days(inner, first_event, last_event) {
        let low = candle::key(day, number, interval, range.from_ms);
        let high = candle::key(day, number, interval, range.to_ms);
        if low >= high {
            continue;
        }
        let mut of_day = 0;
        for guard in inner.spaces.candles.range(low..high).rev() {
            if of_day >= range.limit {
                break;
            }
            let (key, value) = guard.into_inner()?;
            let candle = candle::decode(&value)?;
            if !wanted.takes(&candle) {
                continue;
            }
            of_day += 1;
            // Later days come first.
            found.entry(number_of(&key)?).or_insert(candle);
        }
    }
    Ok(found)
}

/// The kept days with candles of some event days, latest first.
fn days(inner: &SharedState, from: Day, to: Day) -> Vec<Day> {
    inner.candle_days.days_with(inner.first_day(), from, to)
}

/// A stored candle of a pair.
pub(crate) fn stored(
    inner: &SharedState,
    (number, interval, start_ms): (u32, Interval, i64),
) -> Result<Option<Candle>, StorageError> {
    let event_day = day::of(start_ms);
    for day in days(inner, event_day, event_day) {
        let key = candle::key(day, number, interval, start_ms);
        if let Some(bytes) = inner.spaces.candles.get(key)? {
            return candle::decode(&bytes).map(Some);
        }
    }
    Ok(None)
}

/// The last stored candle of a pair.
pub(crate) fn last(
    inner: &SharedState,
    number: u32,
    interval: Interval,
) -> Result<Option<Candle>, StorageError> {
    let mut last: Option<Candle> = None;
    for day in days(inner, 0, Day::MAX) {
        let rows =
            candle::key(day, number, interval, 0)..=candle::key(day, number, interval, i64::MAX);
        let Some(guard) = inner.spaces.candles.range(rows).next_back() else {
            continue;
        };
        let found = candle::decode(&guard.value()?)?;
        if last
            .as_ref()
            .is_none_or(|last| last.start_ms < found.start_ms)
        {
            last = Some(found);
        }
    }
    Ok(last)
}
