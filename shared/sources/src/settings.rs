//! What an operator can set about the sources. Pure data; each part can be parsed from a text, such as
//! an environment variable.

use domain::Percentage;

use crate::binance_trades::BinanceTrades;
use crate::pyth_feeds::PythFeeds;

/// The settings of all sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    /// Which stream of Binance counts, for each of its markets.
    pub binance_trades: BinanceTrades,
    /// Base and quote of Pyth's feeds, in addition to the built-in table, and in preference to it.
    pub pyth_feeds: PythFeeds,
    /// A Pyth price whose confidence interval is wider than this share of it is marked
    /// [`domain::Quality::WideConfidence`].
    ///
    /// The interval (`conf`) is the distance from the price to either end, and roughly one standard
    /// deviation. The widely used feeds stay below 0.2 % in an open market, and a price that may be a
    /// percent off would draw the high or low of a candle where nobody traded.
    pub pyth_wide_confidence: Percentage,
}

impl SourceSettings {
    /// What applies if nothing is set.
    pub const DEFAULT: Self = Self {
        binance_trades: BinanceTrades::DEFAULT,
        pyth_feeds: PythFeeds::NONE,
        pyth_wide_confidence: Percentage::ONE,
    };
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}
