//! A pair: a token and its quote.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Tick, Token};

/// A token and the currency of its price. Averages and candles are per pair, since prices in
/// different quotes cannot be mixed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair {
    /// What is priced.
    pub token: Token,
    /// The currency of the price.
    pub quote: Token,
}

impl Pair {
    /// The pair of a tick.
    #[must_use]
    pub fn of(tick: &Tick) -> Self {
        Self {
            token: tick.token.clone(),
            quote: tick.quote.clone(),
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.token, self.quote)
    }
}
