//! Open, high, low, close and volume of a set of ticks. The same ticks in any order give the same.

use serde::{Deserialize, Serialize};

use super::series_kind::SeriesKind;
use super::total_volume::TotalVolume;
use crate::{Price, Tick, TickOrder};

/// Open, high, low, close and volume of a set of ticks of one kind.
///
/// Prices and counts are exact and do not depend on the order in which ticks arrived. The same
/// holds for the volume as long as its digits fit (see [`TotalVolume`]).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ohlcv {
    /// The price of the first tick.
    pub open: Price,
    /// The highest price.
    pub high: Price,
    /// The lowest price.
    pub low: Price,
    /// The price of the last tick.
    pub close: Price,
    /// Base units traded: the sum of the volumes that its trades have. `None` if none has one, which
    /// is not the same as a volume of 0, and for quotes.
    pub volume: Option<TotalVolume>,
    /// Quote units traded: the sum of price × volume, over the trades that have a volume. A double,
    /// so the order of merging shows in its last digits.
    pub quote_volume: f64,
    /// The number of ticks.
    pub tick_count: u64,
    /// The place of the first tick.
    pub first: TickOrder,
    /// The place of the last tick.
    pub last: TickOrder,
}

impl Ohlcv {
    /// Those of one tick.
    #[must_use]
    pub fn of(tick: &Tick) -> Self {
        let is_traded = SeriesKind::of(tick) == SeriesKind::Trades;
        Self {
            open: tick.price,
            high: tick.price,
            low: tick.price,
            close: tick.price,
            volume: tick.volume.filter(|_| is_traded).map(TotalVolume::from),
            quote_volume: quote_volume(tick),
            tick_count: 1,
            first: tick.order(),
            last: tick.order(),
        }
    }

    /// Adds other ticks. The two sets must have no tick in common.
    ///
    /// Commutative and associative, except for the rounding of `quote_volume`.
    pub fn merge(&mut self, other: &Self) {
        if (other.first, other.open) < (self.first, self.open) {
            (self.first, self.open) = (other.first, other.open);
        }
        if (other.last, other.close) > (self.last, self.close) {
            (self.last, self.close) = (other.last, other.close);
        }
        self.high = self.high.max(other.high);
        self.low = self.low.min(other.low);
        self.volume = TotalVolume::sum(self.volume, other.volume);
        self.quote_volume += other.quote_volume;
        self.tick_count = self.tick_count.saturating_add(other.tick_count);
    }

    /// The average price weighted by volume. `None` without volumes, or if they are 0.
    #[must_use]
    pub fn vwap(&self) -> Option<f64> {
        let volume = self.volume?.to_f64();
        (volume > 0.0).then(|| self.quote_volume / volume)
    }
}

/// Quote units traded in one tick; 0 if it is a quote, or the source reports no volume. At most 10^42, so no sum of
/// them overflows a double.
pub(super) fn quote_volume(tick: &Tick) -> f64 {
    let volume = match SeriesKind::of(tick) {
        SeriesKind::Trades => tick.volume,
        SeriesKind::Quotes => None,
    };
    volume.map_or(0.0, |volume| tick.price.to_f64() * volume.to_f64())
}
