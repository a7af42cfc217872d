//! One price of one token at one moment: the record that every store and every wire format carries.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Price, SourceName, TickId, Token, Volume};

/// The version of the tick's format, carried in every record.
///
/// 1.1 added [`Tick::sequence`] and [`Tick::quality`]; records of 1.0 are read without them.
pub const TICK_VERSION: &str = "1.1";

/// The earliest event time accepted: 2000-01-01T00:00:00Z. An earlier one has the wrong unit
/// (seconds instead of milliseconds).
pub const TIMESTAMP_MS_MIN: i64 = 946_684_800_000;

/// The milliseconds of a UTC day.
pub const MS_PER_DAY: i64 = 24 * 60 * 60 * 1_000;

/// How far ahead of our clock an event time may be: 5 minutes.
pub const FUTURE_TOLERANCE_MS: i64 = 5 * 60 * 1_000;

/// A price of one token at one moment, as one source saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// The identity: a replayed delivery has the same id.
    pub tick_id: TickId,
    /// What is priced (the base).
    pub token: Token,
    /// The currency of the price.
    pub quote: Token,
    /// Quote units for one unit of the base.
    pub price: Price,
    /// Base units traded, if the source reports it.
    pub volume: Option<Volume>,
    /// Event time, milliseconds since the epoch (UTC).
    pub timestamp_ms: i64,
    /// When we received it, milliseconds since the epoch (UTC).
    pub ingested_at_ms: i64,
    /// The origin of the price.
    pub source: SourceName,
    /// The Solana slot, if there is one.
    pub slot: Option<u64>,
    /// How the price was derived.
    pub method: Method,
    /// The provider's own number of the trade, which orders trades of the same millisecond. At most
    /// [`SEQUENCE_MAX`].
    pub sequence: Option<u64>,
    /// What limits the use of the price; `None` if nothing does.
    pub quality: Option<Quality>,
}

/// The largest [`Tick::sequence`]: a `bigint` in SQL.
pub const SEQUENCE_MAX: u64 = i64::MAX as u64;

/// A tick's place among those of its pair: by event time, then by the provider's own number, then by
/// id. A tick without a number comes before those of the same millisecond with one. The order of
/// arrival never decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TickOrder {
    /// Event time, milliseconds since the epoch (UTC).
    pub timestamp_ms: i64,
    /// The provider's own number.
    pub sequence: Option<u64>,
    /// The identity.
    pub tick_id: TickId,
}

impl Tick {
    /// Its place among the ticks of its pair.
    #[must_use]
    pub fn order(&self) -> TickOrder {
        TickOrder {
            timestamp_ms: self.timestamp_ms,
            sequence: self.sequence,
            tick_id: self.tick_id,
        }
    }
}

/// Why a price is stored, but not used in candles and detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// The amounts are so small that their quotient is imprecise.
    LowPrecision,
    /// An oracle's confidence interval is wide.
    WideConfidence,
}

/// The text is not the name of a quality.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a quality: use `low_precision` or `wide_confidence`")]
pub struct QualityError(String);

impl Quality {
    /// Every quality, in the order of their codes in stored records.
    pub const ALL: [Self; 2] = [Self::LowPrecision, Self::WideConfidence];

    /// The name in JSON, SQL and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LowPrecision => "low_precision",
            Self::WideConfidence => "wide_confidence",
        }
    }
}

impl FromStr for Quality {
    type Err = QualityError;
    fn from_str(text: &str) -> Result<Self, QualityError> {
        Self::ALL
            .into_iter()
            .find(|quality| quality.as_str() == text)
            .ok_or_else(|| QualityError(text.chars().take(20).collect()))
    }
}

/// How a price was derived from what the source sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The sender of `ticks` gave the price.
    Reported,
    /// An exchange's trade.
    Trade,
    /// The last price of an exchange's ticker.
    Ticker,
    /// An oracle's aggregate (Pyth).
    Oracle,
    /// A quote of a price service (Jupiter, Birdeye, CoinGecko).
    Quote,
    /// The two sides of a transaction's swap event.
    SwapEvent,
    /// The two sides of a transaction's net balance changes.
    NetBalances,
}

/// The text is not the name of a method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a method of deriving a price")]
pub struct MethodError(String);

impl Method {
    /// Every method, in the order of their codes in stored records.
    pub const ALL: [Self; 7] = [
        Self::Reported,
        Self::Trade,
        Self::Ticker,
        Self::Oracle,
        Self::Quote,
        Self::SwapEvent,
        Self::NetBalances,
    ];

    /// The name in JSON, SQL and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Trade => "trade",
            Self::Ticker => "ticker",
            Self::Oracle => "oracle",
            Self::Quote => "quote",
            Self::SwapEvent => "swap_event",
            Self::NetBalances => "net_balances",
        }
    }

    /// Whether the price is of a trade. What a sender of `ticks` reports is one, unless it names another method. Other
    /// prices are quotes: tickers, oracles and price services.
    #[must_use]
    pub fn is_trade(self) -> bool {
        match self {
            Self::Reported | Self::Trade | Self::SwapEvent | Self::NetBalances => true,
            Self::Ticker | Self::Oracle | Self::Quote => false,
        }
    }
}

impl FromStr for Method {
    type Err = MethodError;
    fn from_str(text: &str) -> Result<Self, MethodError> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_str() == text)
            .ok_or_else(|| MethodError(text.chars().take(20).collect()))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an event time is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Before the year 2000.
    #[error("timestamp {0} is before the year 2000: use milliseconds since the epoch, not seconds")]
    TooEarly(i64),
    /// More than five minutes ahead of our clock.
    #[error("timestamp {timestamp_ms} is {} s ahead of the server's clock; at most 300 s are \
             accepted", (timestamp_ms - now_ms) / 1_000)]
    InTheFuture {
        /// The event time.
        timestamp_ms: i64,
        /// Our clock.
        now_ms: i64,
    },
}

/// Checks an event time against our clock.
///
/// # Errors
/// [`TimestampError`] if it is before 2000 or more than five minutes ahead.
pub fn check_timestamp(timestamp_ms: i64, now_ms: i64) -> Result<i64, TimestampError> {
    if timestamp_ms < TIMESTAMP_MS_MIN {
        return Err(TimestampError::TooEarly(timestamp_ms));
    }
    if timestamp_ms.saturating_sub(now_ms) > FUTURE_TOLERANCE_MS {
        return Err(TimestampError::InTheFuture {
            timestamp_ms,
            now_ms,
        });
    }
    Ok(timestamp_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_one_name_each() {
        for method in Method::ALL {
            assert_eq!(method.as_str().parse(), Ok(method));
        }
        assert!("guess".parse::<Method>().is_err());
        for quality in Quality::ALL {
            assert_eq!(quality.as_str().parse(), Ok(quality));
        }
        assert!("good".parse::<Quality>().is_err());
    }

    #[test]
    fn event_times_are_checked_against_the_clock() {
        let now = 1_800_000_000_000;
        assert_eq!(
            check_timestamp(now + FUTURE_TOLERANCE_MS, now),
            Ok(now + FUTURE_TOLERANCE_MS)
        );
        assert!(check_timestamp(now + FUTURE_TOLERANCE_MS + 1, now).is_err());
        assert!(
            check_timestamp(1_800_000_000, now).is_err(),
            "seconds instead of milliseconds"
        );
        assert!(check_timestamp(i64::MIN, now).is_err());
        assert!(check_timestamp(i64::MAX, now).is_err());
    }
}
