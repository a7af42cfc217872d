//! A block as stored: small, since a table charges for each kilobyte of a write.

use serde::{Deserialize, Serialize};

use super::CandleBlock;
use crate::analytics::{Candle, Interval, Member, TotalVolume};
use crate::{Pair, Price, TickId, TickOrder};

/// A block without its pair, which is in the key of whatever stores it. Most candles of a quiet pair are of one tick,
/// and have each price and place once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompactBlock {
    interval: Interval,
    start_ms: i64,
    candles: Vec<CompactCandle>,
    members: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CompactCandle {
    /// After the start of the block.
    offset_ms: i64,
    open: Price,
    /// `None` if it is the open price, as the next two.
    high: Option<Price>,
    low: Option<Price>,
    close: Option<Price>,
    volume: Option<TotalVolume>,
    /// `None` if it is 0.
    quote_volume: Option<f64>,
    tick_count: u64,
    first: CompactOrder,
    /// `None` if it is the first.
    last: Option<CompactOrder>,
    revision: u32,
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
        let candle = |it: &Candle| CompactCandle::of(it, self.start_ms);
        CompactBlock {
            interval: self.interval,
            start_ms: self.start_ms,
            candles: self.candles.values().map(candle).collect(),
            members: self.members.iter().map(|member| member.0).collect(),
        }
    }
}

impl CompactBlock {
    /// The block of a pair.
    #[must_use]
    pub fn into_block(self, pair: Pair) -> CandleBlock {
        let mut block = CandleBlock::new(pair, self.interval, self.start_ms);
        for compact in self.candles {
            let candle = compact.into_candle(&block);
            block.candles.insert(candle.start_ms, candle);
        }
        block.restore_members(self.members.into_iter().map(Member).collect());
        block
    }
}

impl CompactCandle {
    fn of(candle: &Candle, block_ms: i64) -> Self {
        let unlike_open = |price: Price| (price != candle.open).then_some(price);
        let order = |place: TickOrder| CompactOrder {
            offset_ms: place.timestamp_ms.saturating_sub(candle.start_ms),
            sequence: place.sequence,
            tick_id: *place.tick_id.as_bytes(),
        };
        Self {
            offset_ms: candle.start_ms.saturating_sub(block_ms),
            open: candle.open,
            high: unlike_open(candle.high),
            low: unlike_open(candle.low),
            close: unlike_open(candle.close),
            volume: candle.volume,
            quote_volume: (candle.quote_volume != 0.0).then_some(candle.quote_volume),
            tick_count: candle.tick_count,
            first: order(candle.first),
            last: (candle.last != candle.first).then(|| order(candle.last)),
            revision: candle.revision,
        }
    }

    fn into_candle(self, block: &CandleBlock) -> Candle {
        let start_ms = block.start_ms.saturating_add(self.offset_ms);
        let place = |it: CompactOrder| TickOrder {
            timestamp_ms: start_ms.saturating_add(it.offset_ms),
            sequence: it.sequence,
            tick_id: TickId::from_bytes(it.tick_id),
        };
        let first = place(self.first);
        Candle {
            token: block.pair.token.clone(),
            quote: block.pair.quote.clone(),
            interval: block.interval,
            start_ms,
            open: self.open,
            high: self.high.unwrap_or(self.open),
            low: self.low.unwrap_or(self.open),
            close: self.close.unwrap_or(self.open),
            volume: self.volume,
            quote_volume: self.quote_volume.unwrap_or_default(),
            tick_count: self.tick_count,
            first,
            last: self.last.map_or(first, place),
            revision: self.revision,
            members: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{START_MS, tick};
    use super::*;
    use crate::Tick;

    /// Ticks of ten minutes, whose prices have nine digits and rise and fall.
    fn ticks(every_ms: i64) -> impl Iterator<Item = Tick> {
        let start_ms = CandleBlock::start_of(START_MS);
        (0..600_000 / every_ms).map(move |n| {
            let price = format!("152.3847{:02}", n * 37 % 100);
            let id = (0xFEDC_BA98_7654_3210_u128 << 64) + u128::try_from(n).unwrap();
            tick(
                id,
                start_ms + n * every_ms,
                &price,
                (n % 3 == 0).then_some("2.5"),
            )
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
            let block = block(interval, every_ms);
            let bytes = postcard::to_stdvec(&block.compact()).unwrap();
            let read: CompactBlock = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(read.into_block(block.pair().clone()), block);
        }
    }

    /// With its key and its other attributes, at most 300 bytes for two names of 44 characters, the block of a pair
    /// that trades 1.4 times a minute costs one write unit.
    #[test]
    fn the_block_of_a_quiet_pair_fits_into_1_kb() {
        let mut block = block(Interval::OneMinute, 43_000);
        assert_eq!((block.ticks(), block.candles().count()), (13, 9));
        let members = block.take_members().len() * 8;
        let bytes = postcard::to_stdvec(&block.compact()).unwrap().len() + members;
        assert!(bytes < 1_024 - 300, "{bytes}");
    }
}
