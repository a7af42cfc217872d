//! Candles without venues, as builds before series stored them.

use serde::Deserialize;

use super::candle::{Candle, CandleSeries};
use super::members::Member;
use super::{Interval, Ohlcv, SeriesKind, TotalVolume};
use crate::{Price, SourceName, TickOrder, Token};

/// The venue of candles that do not say theirs. They may have quotes among their trades.
const VENUE: &str = "unknown";

/// A candle of version 2: one series of all ticks.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Candle` and `Ohlcv`")]
pub struct CandleV2 {
    pub token: Token,
    pub quote: Token,
    pub interval: Interval,
    pub start_ms: i64,
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub close: Price,
    pub volume: Option<TotalVolume>,
    pub quote_volume: f64,
    pub tick_count: u64,
    pub first: TickOrder,
    pub last: TickOrder,
    pub revision: u32,
    /// Empty.
    pub members: Vec<Member>,
}

impl From<CandleV2> for Candle {
    fn from(before: CandleV2) -> Self {
        let values = Ohlcv {
            open: before.open,
            high: before.high,
            low: before.low,
            close: before.close,
            volume: before.volume,
            quote_volume: before.quote_volume,
            tick_count: before.tick_count,
            first: before.first,
            last: before.last,
        };
        let series = SourceName::new(VENUE).ok().map(|source| CandleSeries {
            kind: SeriesKind::Trades,
            source,
            values,
        });
        Self {
            token: before.token,
            quote: before.quote,
            interval: before.interval,
            start_ms: before.start_ms,
            series: series.into_iter().collect(),
            revision: before.revision,
        }
    }
}
