//! One window of the moving averages: the bars from which they are computed.
//!
//! The averages depend on the set of ticks, not on their order (except for the last digits of a double).

use serde::{Deserialize, Serialize};

use crate::Tick;

#[cfg(test)]
mod tests;

/// How many bars a window has: 60 divide one minute into seconds and one hour into minutes.
const BARS: usize = 60;
const BARS_I64: i64 = 60;

/// The weight of a bar by that of the one after it: e^(-1/30), since half of a window is 30 bars.
const DECAY: f64 = 0.967_216_100_482_005_9;

/// The lengths of the windows, in milliseconds: one minute, five minutes, one hour.
pub const WINDOWS_MS: [i64; 3] = [60_000, 300_000, 3_600_000];

/// The averages over one window: 60 bars of a sixtieth of its length, of which the newest is still filling. So it covers
/// up to one bar less than its length. The close of a bar is the price of its last tick.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WindowAverages {
    /// The length of the window in milliseconds.
    pub window_ms: i64,
    /// The simple moving average: the mean of the closes of the bars that have ticks. `None` before the first tick.
    pub sma: Option<f64>,
    /// The time-weighted mean, at the resolution of a bar: the mean of the closes of all bars, of which those without
    /// ticks have the close before them. Bars before the first tick are left out. `None` before the first tick.
    pub twap: Option<f64>,
    /// The exponential moving average by elapsed time: that of the same closes, each weighted by e^(-age / τ), with τ
    /// half the window, divided by the sum of the weights. `None` before the first tick.
    ///
    /// It is the recursion `ema = α close + (1 - α) ema` with `α = 1 - e^(-1/30)`, cut off after the window, of prices
    /// that hold until the next one (Eckner, Algorithms for Unevenly Spaced Time Series, 2019: `EMA_last`). τ is half the
    /// window because the mean age of a bar is half the window in the simple average and τ in this one.
    pub ema: Option<f64>,
    /// The mean price weighted by volume, of the ticks in the bars. `None` if nothing was traded, no source reports
    /// volumes, or it is of quotes.
    pub vwap: Option<f64>,
    /// How many ticks are in the bars.
    pub ticks: u64,
}

/// The bars of one window, about 3 KB.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub(super) struct Window {
    window_ms: i64,
    /// The newest effective time.
    newest_ms: Option<i64>,
    /// The last tick before the window: its price holds until the first one in it.
    before: Option<Last>,
    /// Bar number `n` (effective time divided by the bar's length) is in slot `n` mod 60.
    bars: Box<[Bar; BARS]>,
}

/// What a window has outside of itself, in bytes.
pub(super) const BARS_BYTES: usize = BARS * size_of::<Bar>();

/// The ticks of one sixtieth of a window. Amounts are at most 10^21, so no sum of them overflows a
/// double.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Bar {
    ticks: u32,
    last: Last,
    volume: f64,
    quote_volume: f64,
}

/// A tick's place among others, and its price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Last {
    effective_ms: i64,
    /// The provider's own number plus one; 0 without one.
    sequence: u64,
    /// The beginning of the id. Two ticks of one millisecond without numbers have the same with a chance of 2^-32.
    id: u32,
    price: f64,
}

impl Last {
    fn of(tick: &Tick, effective_ms: i64, price: f64) -> Self {
        let [a, b, c, d, ..] = *tick.tick_id.as_bytes();
        Self {
            effective_ms,
            sequence: tick.sequence.map_or(0, |number| number.saturating_add(1)),
            id: u32::from_be_bytes([a, b, c, d]),
            price,
        }
    }

    fn later(self, other: Self) -> Self {
        let place = |it: &Self| (it.effective_ms, it.sequence, it.id);
        let order = place(&self).cmp(&place(&other));
        if order.then(self.price.total_cmp(&other.price)).is_lt() {
            other
        } else {
            self
        }
    }
}

/// A window as stored: its non-empty bars, each with its slot.
#[derive(Serialize, Deserialize)]
struct Stored {
    window_ms: i64,
    newest_ms: Option<i64>,
    before: Option<Last>,
    bars: Vec<(u8, Bar)>,
}

/// A stored window is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoredWindowError {
    /// Its length is not one of this version's windows.
    #[error(
        "the stored analytics state is damaged: it has a window of {0} ms, which does not \
             exist"
    )]
    Length(i64),
    /// A slot number that does not exist.
    #[error("the stored analytics state is damaged: a window has a bar in slot {0} of {BARS}")]
    Slot(u8),
}

impl Window {
    pub(super) fn new(window_ms: i64) -> Self {
        Self {
            window_ms,
            newest_ms: None,
            before: None,
            bars: Box::new([Bar::default(); BARS]),
        }
    }

    /// Adds a tick. Of one that is too old for the bars, only the price may count, until the first tick in them.
    pub(super) fn add(&mut self, tick: &Tick, effective_ms: i64, price: f64, volume: Option<f64>) {
        let last = Last::of(tick, effective_ms, price);
        let before_ms = self.newest_ms;
        let newest_ms = before_ms.map_or(effective_ms, |newest| newest.max(effective_ms));
        self.newest_ms = Some(newest_ms);
        let newest = self.bar_of(newest_ms);
        if let Some(before_ms) = before_ms {
            self.clear_between(self.bar_of(before_ms), newest);
        }
        let number = self.bar_of(effective_ms);
        if newest.saturating_sub(number) >= BARS_I64 {
            self.add_before(last);
            return;
        }
        if let Some(bar) = self.bars.get_mut(slot_of(number)) {
            bar.last = if bar.ticks == 0 {
                last
            } else {
                bar.last.later(last)
            };
            bar.ticks = bar.ticks.saturating_add(1);
            if let Some(volume) = volume {
                bar.volume += volume;
                bar.quote_volume += price * volume;
            }
        }
    }

    /// Empties the bars that the window enters when its newest bar moves from `before` to `newest`.
    fn clear_between(&mut self, before: i64, newest: i64) {
        let entered = newest.saturating_sub(before).min(BARS_I64);
        for age in 0..entered {
            let slot = slot_of(newest.saturating_sub(age));
            if let Some(bar) = self.bars.get_mut(slot).map(std::mem::take)
                && bar.ticks > 0
            {
                self.add_before(bar.last);
            }
        }
    }

    fn add_before(&mut self, last: Last) {
        self.before = Some(self.before.map_or(last, |before| before.later(last)));
    }

    fn bar_of(&self, effective_ms: i64) -> i64 {
        effective_ms.div_euclid(self.window_ms / BARS_I64)
    }

    pub(super) fn averages(&self) -> WindowAverages {
        let newest = self.newest_ms.map_or(0, |ms| self.bar_of(ms));
        let mut held = self.before.map(|last| last.price);
        let (mut closes, mut bars) = (0.0, 0.0);
        let (mut held_closes, mut held_bars) = (0.0, 0.0);
        let (mut decayed_closes, mut decayed_bars) = (0.0, 0.0);
        let mut sum = Bar::default();
        let mut ticks = 0_u64;
        for age in (0..BARS_I64).rev() {
            let slot = slot_of(newest.saturating_sub(age));
            let bar = self.bars.get(slot).copied().unwrap_or_default();
            if bar.ticks > 0 {
                held = Some(bar.last.price);
                closes += bar.last.price;
                bars += 1.0;
            }
            if let Some(close) = held {
                held_closes += close;
                held_bars += 1.0;
                decayed_closes = decayed_closes * DECAY + close;
                decayed_bars = decayed_bars * DECAY + 1.0;
            }
            ticks += u64::from(bar.ticks);
            sum.volume += bar.volume;
            sum.quote_volume += bar.quote_volume;
        }
        WindowAverages {
            window_ms: self.window_ms,
            sma: quotient(closes, bars),
            twap: quotient(held_closes, held_bars),
            ema: quotient(decayed_closes, decayed_bars),
            vwap: quotient(sum.quote_volume, sum.volume),
            ticks,
        }
    }
}

impl From<Window> for Stored {
    fn from(window: Window) -> Self {
        Self {
            window_ms: window.window_ms,
            newest_ms: window.newest_ms,
            before: window.before,
            bars: (0..)
                .zip(*window.bars)
                .filter(|(_, bar)| bar.ticks > 0)
                .collect(),
        }
    }
}

impl TryFrom<Stored> for Window {
    type Error = StoredWindowError;
    fn try_from(stored: Stored) -> Result<Self, StoredWindowError> {
        if !WINDOWS_MS.contains(&stored.window_ms) {
            return Err(StoredWindowError::Length(stored.window_ms));
        }
        let mut window = Self::new(stored.window_ms);
        window.newest_ms = stored.newest_ms;
        window.before = stored.before;
        for (slot, bar) in stored.bars {
            match window.bars.get_mut(usize::from(slot)) {
                Some(place) => *place = bar,
                None => return Err(StoredWindowError::Slot(slot)),
            }
        }
        Ok(window)
    }
}

fn slot_of(number: i64) -> usize {
    usize::try_from(number.rem_euclid(BARS_I64)).unwrap_or_default()
}

fn quotient(sum: f64, weight: f64) -> Option<f64> {
    (weight > 0.0).then(|| sum / weight)
}
