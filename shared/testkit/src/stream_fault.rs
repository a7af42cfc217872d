//! Faults of a stream that a comparison must find: one tick in 10,000.

use domain::{Price, Tick};
use rust_decimal::Decimal;

/// What a stream does to one tick in 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFault {
    /// Nothing: it is sound.
    None,
    /// It drops the tick.
    Drops,
    /// It appends the tick twice.
    Doubles,
    /// It changes the ninth digit of the price, if that has five digits before the point.
    Changes,
}

impl StreamFault {
    /// What the stream appends for a tick; `number` counts the ticks that it is given.
    #[must_use]
    pub fn appended(self, number: u64, tick: &Tick) -> Vec<Tick> {
        let mut tick = tick.clone();
        if number % 10_000 != 5_000 {
            return vec![tick];
        }
        match self {
            Self::None => vec![tick],
            Self::Drops => Vec::new(),
            Self::Doubles => vec![tick.clone(), tick],
            Self::Changes => {
                let changed = Price::new(tick.price.decimal() + Decimal::new(1, 4));
                tick.price = changed.unwrap_or(tick.price);
                vec![tick]
            }
        }
    }
}
