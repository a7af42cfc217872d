//! A block as stored: small, since a table charges for each kilobyte of a write.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::CandleBlock;
use crate::analytics::{Candle, CandleSeries, Interval, Member, Ohlcv, SeriesKind, TotalVolume};
use crate::{Pair, Price, SourceName, TickId, TickOrder};

/// A block without its pair, which is in the key of whatever stores it. Most candles of a quiet pair are of one tick,
/// and have each price and place once. The first and the last tick of each series are members by their places.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompactBlock {
    interval: Interval,
    start_ms: i64,
    /// What series are of.
    venues: Vec<(SeriesKind, SourceName)>,
    candles: Vec<CompactCandle>,
    /// The other members, sorted.
    members: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CompactCandle {
    /// After the start of the block, in intervals.
    position: i64,
    series: Vec<CompactSeries>,
    revision: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CompactSeries {
    /// Its position among the venues of the block.
    venue: u32,
    open: Price,
    /// `None` if it is the open price, as the next one.
    high: Option<Price>,
    low: Option<Price>,
    close: Close,
    volume: Option<TotalVolume>,
    /// `None` if it is the open price × the volume, as of a series of one tick.
    quote_volume: Option<f64>,
    tick_count: u64,
    first: CompactOrder,
    /// `None` if it is the first.
    last: Option<CompactOrder>,
}

/// The close price, which is mostly one of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Close {
    AtOpen,
    AtHigh,
    AtLow,
    At(Price),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CompactOrder {
    /// After the start of the candle.
    offset_ms: i64,
    sequence: Option<u64>,
    tick_id: [u8; 16],
}

impl CandleBlock {
    /// What is stored of it.
    #[must_use]
    pub fn compact(&self) -> CompactBlock {
        let mut venues = Vec::new();
        let candles: Vec<_> = self
            .candles
            .values()
            .map(|it| CompactCandle::of(it, self.start_ms, &mut venues))
            .collect();
        let of_places: HashSet<Member> = places(self.candles.values()).collect();
        let others = self.members.difference(&of_places);
        let mut members: Vec<u64> = others.map(|member| member.0).collect();
        members.sort_unstable();
        CompactBlock {
            interval: self.interval,
            start_ms: self.start_ms,
            venues,
            candles,
            members,
        }
    }
}

impl CompactBlock {
    /// The block of a pair.
    #[must_use]
    pub fn into_block(self, pair: Pair) -> CandleBlock {
        let mut block = CandleBlock::new(pair, self.interval, self.start_ms);
        for compact in self.candles {
            let candle = compact.into_candle(&block, &self.venues);
            block.candles.insert(candle.start_ms, candle);
        }
        let of_places: HashSet<Member> = places(block.candles.values()).collect();
        block.members = of_places;
        block.add_members(self.members.into_iter().map(Member));
        block
    }

    /// Separates the members that its candles do not tell, for a store that keeps them elsewhere. See
    /// [`CandleBlock::add_members`].
    pub fn take_members(&mut self) -> Vec<Member> {
        let members = std::mem::take(&mut self.members);
        members.into_iter().map(Member).collect()
    }
}

fn quote_volume(price: Price, volume: Option<TotalVolume>) -> f64 {
    volume.map_or(0.0, |volume| price.to_f64() * volume.to_f64())
}

/// The members that are the first or the last tick of a series.
fn places<'a>(candles: impl Iterator<Item = &'a Candle>) -> impl Iterator<Item = Member> {
    let series = candles.flat_map(|candle| &candle.series);
    series.flat_map(|it| [it.values.first, it.values.last].map(Member::at))
}

/// The position of a series' venue, which is added if it is the first.
fn venue(series: &CandleSeries, venues: &mut Vec<(SeriesKind, SourceName)>) -> u32 {
    let is_same = |it: &(SeriesKind, SourceName)| it.0 == series.kind && it.1 == series.source;
    let at = venues.iter().position(is_same).unwrap_or_else(|| {
        venues.push((series.kind, series.source.clone()));
        venues.len() - 1
    });
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl CompactCandle {
    fn of(candle: &Candle, block_ms: i64, venues: &mut Vec<(SeriesKind, SourceName)>) -> Self {
        let after_ms = candle.start_ms.saturating_sub(block_ms);
        let series = candle.series.iter().map(|it| {
            let venue = venue(it, venues);
            CompactSeries::of(&it.values, venue, candle.start_ms)
        });
        Self {
            series: series.collect(),
            position: after_ms / candle.interval.duration_ms(),
            revision: candle.revision,
        }
    }

    fn into_candle(self, block: &CandleBlock, venues: &[(SeriesKind, SourceName)]) -> Candle {
        let after_ms = self.position.saturating_mul(block.interval.duration_ms());
        let start_ms = block.start_ms.saturating_add(after_ms);
        let series = self.series.into_iter().filter_map(|it| {
            let (kind, source) = venues.get(usize::try_from(it.venue).ok()?)?;
            Some(CandleSeries {
                kind: *kind,
                source: source.clone(),
                values: it.into_values(start_ms),
            })
        });
        Candle {
            token: block.pair.token.clone(),
            quote: block.pair.quote.clone(),
            interval: block.interval,
            start_ms,
            series: series.collect(),
            revision: self.revision,
        }
    }
}

impl CompactSeries {
    fn of(values: &Ohlcv, venue: u32, candle_ms: i64) -> Self {
        let unlike_open = |price: Price| (price != values.open).then_some(price);
        let order = |place: TickOrder| CompactOrder {
            offset_ms: place.timestamp_ms.saturating_sub(candle_ms),
            sequence: place.sequence,
            tick_id: *place.tick_id.as_bytes(),
        };
        let of_one_tick = quote_volume(values.open, values.volume);
        Self {
            venue,
            open: values.open,
            high: unlike_open(values.high),
            low: unlike_open(values.low),
            close: match values.close {
                close if close == values.open => Close::AtOpen,
                close if close == values.high => Close::AtHigh,
                close if close == values.low => Close::AtLow,
                close => Close::At(close),
            },
            volume: values.volume,
            quote_volume: (values.quote_volume.to_bits() != of_one_tick.to_bits())
                .then_some(values.quote_volume),
            tick_count: values.tick_count,
            first: order(values.first),
            last: (values.last != values.first).then(|| order(values.last)),
        }
    }

    fn into_values(self, candle_ms: i64) -> Ohlcv {
        let place = |it: CompactOrder| TickOrder {
            timestamp_ms: candle_ms.saturating_add(it.offset_ms),
            sequence: it.sequence,
            tick_id: TickId::from_bytes(it.tick_id),
        };
        let first = place(self.first);
        let high = self.high.unwrap_or(self.open);
        let low = self.low.unwrap_or(self.open);
        Ohlcv {
            open: self.open,
            high,
            low,
            close: match self.close {
                Close::AtOpen => self.open,
                Close::AtHigh => high,
                Close::AtLow => low,
                Close::At(close) => close,
            },
            volume: self.volume,
            quote_volume: self
                .quote_volume
                .unwrap_or_else(|| quote_volume(self.open, self.volume)),
            tick_count: self.tick_count,
            first,
            last: self.last.map_or(first, place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{START_MS, tick};
    use super::*;
    use crate::{Method, Tick};

    /// Ticks of ten minutes, whose prices have nine digits and rise and fall.
    fn ticks(every_ms: i64) -> impl Iterator<Item = Tick> {
        let start_ms = CandleBlock::start_of(START_MS);
        (0..600_000 / every_ms).map(move |n| {
            let price = format!("152.3847{:02}", n * 37 % 100);
            let id = (0xFEDC_BA98_7654_3210_u128 << 64) + u128::try_from(n).unwrap();
            let volume = (n % 3 == 0).then_some("2.5");
            tick(id, start_ms + n * every_ms, &price, volume)
        })
    }

    fn block(interval: Interval, every_ms: i64) -> CandleBlock {
        let pair = Pair::of(&ticks(every_ms).next().unwrap());
        let mut block = CandleBlock::new(pair, interval, CandleBlock::start_of(START_MS));
        for tick in ticks(every_ms) {
            block.add(&tick, false);
        }
        block
    }

    #[test]
    fn a_block_survives_being_stored() {
        for (interval, every_ms) in [(Interval::OneSecond, 200), (Interval::OneMinute, 43_000)] {
            let mut block = block(interval, every_ms);
            let quotes = ticks(every_ms).map(|it| Tick {
                timestamp_ms: it.timestamp_ms + 1,
                source: SourceName::new("pyth").unwrap(),
                method: Method::Oracle,
                ..it
            });
            for quote in quotes {
                assert_eq!(block.add(&quote, false), crate::analytics::Added::New);
            }
            let bytes = postcard::to_stdvec(&block.compact()).unwrap();
            let read: CompactBlock = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(read.into_block(block.pair().clone()), block);
        }
    }

    /// With its key and its other attributes, at most 300 bytes for two names of 44 characters, the block of a pair
    /// that trades 1.4 times a minute costs one write unit.
    #[test]
    fn the_block_of_a_quiet_pair_fits_into_1_kb() {
        let block = block(Interval::OneMinute, 43_000);
        assert_eq!((block.ticks(), block.candles().count()), (13, 9));
        let mut compact = block.compact();
        // Each candle has at most two ticks, which are its first and its last.
        assert!(compact.take_members().is_empty());
        let bytes = postcard::to_stdvec(&compact).unwrap().len();
        assert!(bytes < 1_024 - 300, "{bytes}");
    }
}
