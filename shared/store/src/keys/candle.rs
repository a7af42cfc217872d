//! Key: day on which it was written (u16), pair number (u32), interval (u8: its index in `Interval::ALL`),
//! start (u64). The row of the latest day holds; those of earlier days are outdated.
//! Value: [`FORMAT`] and the candle (postcard). Candles without venues begin with [`FORMAT_2`], and those of layout 3 and
//! before (version 1) with neither.

use domain::analytics::{Candle, CandleV1, CandleV2, Interval};

use super::day::Day;
use super::{key_of, sortable};
use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "candles-by-day";

/// A candle's key.
pub(crate) type CandleKey = [u8; 2 + 4 + 1 + 8];

pub(crate) fn key(day: Day, pair: u32, interval: Interval, start_ms: i64) -> CandleKey {
    let place = Interval::ALL.iter().position(|known| *known == interval);
    let place = place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(u8::MAX);
    key_of(
        day.to_be_bytes()
            .into_iter()
            .chain(pair.to_be_bytes())
            .chain([place])
            .chain(sortable(start_ms)),
    )
}

/// The first byte of a value. A candle of version 1 begins with the length of a name, at most 64.
const FORMAT: u8 = 0xc4;
const FORMAT_2: u8 = 0xc3;

pub(crate) fn encode(candle: &Candle) -> Result<Vec<u8>, StorageError> {
    super::encode("candle", &(FORMAT, candle))
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Candle, StorageError> {
    match bytes.split_first() {
        Some((&FORMAT, candle)) => super::decode("candle", candle),
        Some((&FORMAT_2, candle)) => super::decode::<CandleV2>("candle", candle).map(Candle::from),
        _ => super::decode::<CandleV1>("candle", bytes).map(Candle::from),
    }
}

#[cfg(test)]
mod tests {
    use domain::analytics::{Ohlcv, SeriesKind, TotalVolume};
    use domain::{Price, TickOrder, Token};
    use testkit::ticks::tick;

    use super::*;

    /// A candle without venues, as it was stored.
    #[derive(serde::Serialize)]
    struct V2 {
        token: Token,
        quote: Token,
        interval: Interval,
        start_ms: i64,
        open: Price,
        high: Price,
        low: Price,
        close: Price,
        volume: Option<TotalVolume>,
        quote_volume: f64,
        tick_count: u64,
        first: TickOrder,
        last: TickOrder,
        revision: u32,
        members: Vec<u64>,
    }

    #[test]
    fn a_candle_without_venues_is_read() {
        let made = tick("BTC", 7);
        let values = Ohlcv::of(&made);
        let before = V2 {
            token: made.token.clone(),
            quote: made.quote.clone(),
            interval: Interval::OneHour,
            start_ms: 3_600_000,
            open: values.open,
            high: values.high,
            low: values.low,
            close: values.close,
            volume: values.volume,
            quote_volume: values.quote_volume,
            tick_count: values.tick_count,
            first: values.first,
            last: values.last,
            revision: 3,
            members: Vec::new(),
        };
        let read = decode(&postcard::to_stdvec(&(FORMAT_2, before)).unwrap()).unwrap();
        assert_eq!((read.start_ms, read.revision), (3_600_000, 3));
        assert_eq!(read.of_kind(SeriesKind::Trades), Some(values));
        assert_eq!(read.series[0].source.as_str(), "unknown");

        let candle = Candle::of(&made, Interval::OneHour);
        assert_eq!(decode(&encode(&candle).unwrap()).unwrap(), candle);
    }
}
