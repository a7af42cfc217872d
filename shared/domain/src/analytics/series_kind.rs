//! Which prices make a series: trades or quotes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Method, Tick};

/// Which prices make a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesKind {
    /// Prices at which something was traded, with its volume.
    Trades,
    /// Tickers, oracle prices and quotes of price services. They have no volume, even if their source sends one.
    Quotes,
}

/// The text is not the name of a series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a series: use trades or quotes")]
pub struct SeriesKindError(String);

impl SeriesKind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Trades, Self::Quotes];

    /// The series that a tick belongs to.
    #[must_use]
    pub fn of(tick: &Tick) -> Self {
        if Method::is_trade(tick.method) {
            Self::Trades
        } else {
            Self::Quotes
        }
    }

    /// The name in JSON, SQL, URLs and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trades => "trades",
            Self::Quotes => "quotes",
        }
    }
}

impl FromStr for SeriesKind {
    type Err = SeriesKindError;
    fn from_str(text: &str) -> Result<Self, SeriesKindError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| SeriesKindError(text.chars().take(20).collect()))
    }
}

impl fmt::Display for SeriesKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
