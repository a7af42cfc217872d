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
