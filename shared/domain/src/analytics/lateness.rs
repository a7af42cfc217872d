//! Lateness: a tick's position in time, relative to the ticks before it.
//!
//! Positions are in **effective time**: a tick's event time, but never later than the time at which
//! we received it. So the watermark of a pair never passes our own clock, and a sender whose clock
//! is ahead does not make the ticks of the others late.

use crate::Tick;

/// How late a tick may be before it counts as too late: one minute.
pub const ALLOWED_LATENESS_MS: i64 = 60_000;

/// A tick's position in effective time, relative to the ticks before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timeliness {
    /// As new as the newest seen, or newer.
    InOrder,
    /// Older than the newest, within the allowed lateness.
    Late,
    /// Older than the watermark. It still counts in candles.
    TooLate,
}

impl Tick {
    /// The event time, or the time of receipt if that is earlier, in milliseconds since the epoch.
    #[must_use]
    pub fn effective_ms(&self) -> i64 {
        self.timestamp_ms.min(self.ingested_at_ms)
    }
}

impl Timeliness {
    /// The position of a tick at `effective_ms`, after ticks up to `newest_ms`.
    pub(super) fn of(effective_ms: i64, newest_ms: Option<i64>, lateness_ms: i64) -> Self {
        match newest_ms {
            Some(newest_ms) if effective_ms < watermark_ms(newest_ms, lateness_ms) => Self::TooLate,
            Some(newest_ms) if effective_ms < newest_ms => Self::Late,
            Some(_) | None => Self::InOrder,
        }
    }
}

/// The newest effective time minus the allowed lateness.
pub(super) fn watermark_ms(newest_ms: i64, lateness_ms: i64) -> i64 {
    newest_ms.saturating_sub(lateness_ms.max(0))
}
