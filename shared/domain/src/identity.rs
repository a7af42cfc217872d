//! What makes two ticks the same event.

use crate::{Pair, Tick, TickId};

/// What makes two ticks the same event, on every path: in the store, the stream, candles, the archive
/// and the live feed.
///
/// The id is derived from what identifies the event at its provider (see `docs/api.md`), and alone
/// it is unique for all sources that we read. A sender of `ticks` may choose ids freely, so that the
/// pair and the time belong to the identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TickIdentity {
    /// The pair.
    pub pair: Pair,
    /// Event time, milliseconds since the epoch (UTC).
    pub timestamp_ms: i64,
    /// The id.
    pub tick_id: TickId,
}

impl Tick {
    /// What makes it the same event as another tick.
    #[must_use]
    pub fn identity(&self) -> TickIdentity {
        TickIdentity {
            pair: Pair::of(self),
            timestamp_ms: self.timestamp_ms,
            tick_id: self.tick_id,
        }
    }
}
