//! The current level against that of a longer past: level shifts and drifts.

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};
use super::mean::Mean;
use super::statistic::{Observed, Sample, Statistic};

/// The distance of two levels is compared with its mean over at least this many samples.
const DISTANCE_SPAN_MIN: f32 = 500.0;

/// The distance between the mean of the last `FAST` samples and that of `SLOW` samples, in multiples of its mean.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Level<const FAST: u16, const SLOW: u16> {
    fast: Mean,
    slow: Mean,
    distance: Mean,
    /// The largest change in about the last `FAST` samples.
    largest_change: f32,
    /// The slow level before the last sample.
    expected: f32,
}

impl<const FAST: u16, const SLOW: u16> Statistic for Level<FAST, SLOW> {
    fn measure(&mut self, sample: &Sample) -> f32 {
        let (fast, slow) = (f32::from(FAST), f32::from(SLOW));
        self.fast.add(sample.value, fast, sample.share);
        self.expected = self.slow.get();
        let distance = (self.fast.get() - self.expected).abs();
        let measure = distance / (self.distance.get() + sample.noise);
        self.distance
            .add(distance, slow.max(DISTANCE_SPAN_MIN), sample.share);
        self.slow.add(sample.value, slow, sample.share);
        let kept = self.largest_change * (1.0 - 1.0 / fast);
        self.largest_change = sample.change.abs().max(kept);
        measure
    }

    fn observed(&self, _: &Sample) -> Observed {
        let distance = self.fast.get() - self.expected;
        let sudden = self.largest_change >= 0.5 * distance.abs();
        Observed {
            kind: if sudden {
                AnomalyKind::LevelShift
            } else {
                AnomalyKind::Drift
            },
            direction: Direction::of(distance),
            quantity: Quantity::Value,
            expected: self.expected,
            seen: self.fast.get(),
            samples: f32::from(FAST),
        }
    }
}
