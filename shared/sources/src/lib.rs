//! The wire formats of the providers: one file per source, which turns a delivery into ticks.
//!
//! Only this crate knows a provider's wire format. It is pure: it does no I/O, and the current time
//! and the settings are arguments. To add a source, write its file and list it in [`ALL`].

mod binance;
mod binance_trades;
mod birdeye;
mod bybit;
mod coinbase;
mod coingecko;
mod context;
mod delivery;
mod described;
mod event_time;
mod helius;
mod jupiter;
mod kraken;
mod name;
mod near_miss;
mod okx;
mod product;
mod pyth;
mod pyth_feeds;
mod refused;
mod settings;
mod ticks;
mod trade_id;
mod value;
mod work;

use domain::{Malformed, Reason, Tick};

pub use binance_trades::{BinanceTrades, BinanceTradesError, TradeStream};
pub use context::ParseContext;
pub use pyth_feeds::{PythFeeds, PythFeedsError};
pub use settings::SourceSettings;
pub use work::WORK_MAX;

/// A provider's wire format.
pub trait Source: Send + Sync {
    /// The name in `POST /webhooks/{name}`.
    fn name(&self) -> &'static str;

    /// Reads a delivery. Each trade, quote or transaction in it is one entry, numbered in the order
    /// of the delivery. One bad entry does not affect the others.
    ///
    /// # Errors
    /// [`Unreadable`] if the delivery as a whole cannot be read.
    fn read(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable>;

    /// As [`Source::read`], with at most [`WORK_MAX`] units of work.
    ///
    /// # Errors
    /// As [`Source::read`].
    fn parse(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        self.parse_counted(body, context).0
    }

    /// As [`Source::parse`], with the units of work that it took.
    fn parse_counted(
        &self,
        body: &[u8],
        context: &ParseContext<'_>,
    ) -> (Result<Vec<Entry>, Unreadable>, u64) {
        work::counted(|| self.read(body, context))
    }
}

/// The outcome of one entry of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A price with a time of its own.
    Tick(Tick),
    /// A price whose source gives no time: its time is when it was received, so it has another one
    /// when it is delivered again, and its id identifies it.
    ArrivalStamped(Tick),
    /// Well-formed, but not a price (a transfer, a heartbeat), with a description.
    Ignored(&'static str),
    /// Not a valid entry of the source.
    Malformed(Malformed),
}

/// Why a delivery as a whole cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreadable {
    /// [`Reason::UnreadableBody`] or [`Reason::InvalidUtf8`].
    pub reason: Reason,
    /// What is wrong and where, described for the sender.
    pub message: String,
}

/// All sources. A new source needs its file and a line here.
pub const ALL: &[&dyn Source] = &[
    &binance::SPOT,
    &binance::COIN_M,
    &binance::USD_M,
    &birdeye::Birdeye,
    &bybit::SPOT,
    &bybit::LINEAR,
    &bybit::INVERSE,
    &coinbase::Coinbase,
    &coingecko::CoinGecko,
    &helius::Helius,
    &jupiter::Jupiter,
    &kraken::Kraken,
    &okx::Okx,
    &pyth::Pyth,
    &ticks::Ticks,
];

/// The source of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Source> {
    ALL.iter().copied().find(|source| source.name() == name)
}
