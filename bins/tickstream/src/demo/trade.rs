//! One trade of the market.

/// The feed that a trade comes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Venue {
    /// Our own JSON.
    Ticks,
    /// Our own JSON, from another venue.
    Pool,
    /// A Binance trade message.
    Binance,
    /// A Coinbase `market_trades` message.
    Coinbase,
}

/// One trade, before it is formatted for a feed.
#[derive(Debug)]
pub(super) struct Trade {
    pub(super) venue: Venue,
    pub(super) token: &'static str,
    pub(super) quote: &'static str,
    pub(super) price: String,
    pub(super) volume: String,
    pub(super) number: i64,
    pub(super) at_ms: i64,
    pub(super) buys: bool,
}
