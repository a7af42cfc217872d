//! The wire formats of the providers: one file per source, which turns a delivery into ticks.
//!
//! Only this crate knows a provider's wire format. It is pure: it does no I/O, and the current time
//! is an argument. To add a source, write its file and list it in [`ALL`].

mod binance;
mod birdeye;
mod bybit;
mod coinbase;
mod coingecko;
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
mod refused;
mod ticks;
mod trade_id;
mod value;

use domain::{Malformed, Reason, Tick};

/// A provider's wire format.
pub trait Source: Send + Sync {
    /// The name in `POST /webhooks/{name}`.
    fn name(&self) -> &'static str;

    /// Reads a delivery. Each trade, quote or transaction in it is one entry, numbered in the order
    /// of the delivery. One bad entry does not affect the others.
    ///
    /// `now_ms` is our clock, in milliseconds since the epoch: it becomes the ticks' ingestion
    /// time and bounds their event time.
    ///
    /// # Errors
    /// [`Unreadable`] if the delivery as a whole cannot be read.
    fn parse(&self, body: &[u8], now_ms: i64) -> Result<Vec<Entry>, Unreadable>;

    /// As [`Source::parse`], for a store that has ticks of release 1.0: events before
    /// `new_ids_from_ms` (epoch milliseconds) get the id that 1.0 gave them, so that a delivery
    /// that is repeated after the upgrade gives the ticks that are stored. 0 for a new store.
    ///
    /// # Errors
    /// As [`Source::parse`].
    fn parse_since(
        &self,
        body: &[u8],
        now_ms: i64,
        _new_ids_from_ms: i64,
    ) -> Result<Vec<Entry>, Unreadable> {
        self.parse(body, now_ms)
    }
}

/// The outcome of one entry of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A price.
    Tick(Tick),
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
