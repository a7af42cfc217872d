//! Which ticks are in a block of candles.

use serde::{Deserialize, Serialize};

use crate::{Tick, TickOrder};

/// An odd number with evenly spread bits (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// A tick in 64 bits of its identity within its pair: the chance that one of `n` others is mistaken
/// for it is `n` / 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member(pub u64);

impl Member {
    /// The member that a tick is.
    #[must_use]
    pub fn of(tick: &Tick) -> Self {
        Self::at(tick.order())
    }

    /// The member that the tick at a place is.
    #[must_use]
    pub fn at(place: TickOrder) -> Self {
        let bits = u128::from_be_bytes(*place.tick_id.as_bytes());
        let [high, low] = [bits >> 64, bits & u128::from(u64::MAX)].map(low_half);
        // Derived ids are evenly distributed; the products separate others.
        let time = place.timestamp_ms.cast_unsigned().wrapping_mul(SPREAD);
        Self(high.wrapping_mul(SPREAD) ^ low ^ time.rotate_left(32))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn low_half(bits: u128) -> u64 {
    bits as u64
}
