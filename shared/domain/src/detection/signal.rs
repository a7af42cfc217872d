//! A value of the series, and what it shows.

use super::logarithm::log10;
use super::statistic::Observed;

pub(super) const DAY_MS: f32 = 86_400_000.0;

/// A value of the series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tick {
    pub(super) timestamp_ms: i64,
    pub(super) value: f32,
    /// How far it is from the value of the tick before.
    pub(super) step: f32,
}

/// What a tick shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signal {
    /// 1 is the strength of an anomaly.
    pub(super) strength: f32,
    pub(super) observed: Observed,
    pub(super) window_ms: f32,
}

/// The strength of something, by how often it is expected in a day: 1 at the limit, and 1/2 more for each power of ten below.
pub(super) fn strength_of(expected_per_day: f32, limit_per_day: f32) -> f32 {
    1.0 + 0.5 * log10(limit_per_day / expected_per_day.max(f32::MIN_POSITIVE))
}

/// The stronger of two signals; usually, there are none.
#[inline]
pub(super) fn stronger(a: Option<Signal>, b: Option<Signal>) -> Option<Signal> {
    match (&a, &b) {
        (_, None) => a,
        (Some(first), Some(second)) if first.strength > second.strength => a,
        _ => b,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a span of time")]
pub(super) fn span_ms(ms: i64) -> f32 {
    ms as f32
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count whose size matters, not its last digit"
)]
pub(super) fn as_f32(count: u32) -> f32 {
    count as f32
}
