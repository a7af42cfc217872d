//! The moving averages of a pair, as they are reported.

use serde::{Deserialize, Serialize};

use super::series_kind::SeriesKind;
use super::window::{WINDOWS_MS, Window};
use crate::{Pair, Tick, Token};

/// The moving averages of the trades or the quotes of a pair, of all venues, as of the newest of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Averages {
    /// What is priced (the base).
    pub token: Token,
    /// The currency of the prices.
    pub quote: Token,
    /// Trades or quotes.
    pub kind: SeriesKind,
    /// The newest effective time seen, at which the windows end.
    pub timestamp_ms: i64,
    /// One minute, five minutes and one hour.
    pub windows: [WindowAverages; WINDOWS_MS.len()],
}

impl Averages {
    /// The pair that it belongs to.
    #[must_use]
    pub fn pair(&self) -> Pair {
        Pair {
            token: self.token.clone(),
            quote: self.quote.clone(),
        }
    }
}

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

/// The windows of the trades or the quotes of a pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SeriesWindows {
    /// The newest effective time.
    newest_ms: i64,
    windows: [Window; WINDOWS_MS.len()],
}

impl SeriesWindows {
    pub(super) fn new() -> Self {
        Self {
            newest_ms: i64::MIN,
            windows: WINDOWS_MS.map(Window::new),
        }
    }

    /// Adds a tick of the series.
    pub(super) fn add(&mut self, tick: &Tick, effective_ms: i64, price: f64, volume: Option<f64>) {
        self.newest_ms = self.newest_ms.max(effective_ms);
        for window in &mut self.windows {
            window.add(tick, effective_ms, price, volume);
        }
    }

    pub(super) fn averages(&self, kind: SeriesKind, pair: Pair) -> Averages {
        Averages {
            token: pair.token,
            quote: pair.quote,
            kind,
            timestamp_ms: self.newest_ms,
            windows: self.windows.each_ref().map(Window::averages),
        }
    }
}
