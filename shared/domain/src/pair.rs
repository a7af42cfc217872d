//! A pair: a token and the quote that its price is in.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Tick, Token};

/// A token and what its price is in: what averages and candles are made for, since prices in
/// different quotes do not mix.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair {
    /// What is priced.
    pub token: Token,
    /// What the price is in.
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
