//! What a statistic is, and the sample that it measures.

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};

/// Measures one way in which a series departs from its past. To add one, add a file with a type that implements this, and
/// a field in `Statistics`.
pub(super) trait Statistic {
    /// How far the sample departs from the past: at least 0, and larger the further it does. Its unit does not matter, as it
    /// is ranked in its own past, but it should not depend on the scale of the series. Then the sample becomes part of
    /// the past.
    fn measure(&mut self, sample: &Sample) -> f32;

    /// What the last measurement saw, in case it is an anomaly.
    fn observed(&self, sample: &Sample) -> Observed;
}

/// A value of the series at one of its horizons.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) timestamp_ms: i64,
    /// The value, minus the first value of the series.
    pub(super) value: f32,
    /// The value minus that of the previous sample.
    pub(super) change: f32,
    /// Differences up to this size are noise. It keeps a constant series from causing a division by 0.
    pub(super) noise: f32,
    /// The lowest and highest value of a long past, this sample included.
    pub(super) low: f32,
    pub(super) high: f32,
    /// How far the value was outside of that range before; negative if below.
    pub(super) outside: f32,
    /// 1 divided by the number of samples so far, this one included.
    pub(super) share: f32,
}

/// What a statistic saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Observed {
    pub(super) kind: AnomalyKind,
    pub(super) direction: Direction,
    /// What `expected` and `seen` are.
    pub(super) quantity: Quantity,
    pub(super) expected: f32,
    pub(super) seen: f32,
    /// How many samples show it.
    pub(super) samples: f32,
}
