//! The moving averages of a pair, as they are reported.

use serde::{Deserialize, Serialize};

use super::series_kind::SeriesKind;
use super::window::{BARS_BYTES, WINDOWS_MS, Window, WindowAverages};
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

    /// How much memory they take, in bytes.
    pub(super) const BYTES: usize = size_of::<Self>() + WINDOWS_MS.len() * BARS_BYTES;

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
