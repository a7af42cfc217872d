//! Values outside the range of the series.

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};
use super::statistic::{Observed, Sample, Statistic};

/// A value that is outside by a tenth of the range measures 1.
const TENTHS: f32 = 10.0;

/// How far a value is outside the range of a long past, in tenths of that range.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct OutOfRange;

impl Statistic for OutOfRange {
    fn measure(&mut self, sample: &Sample) -> f32 {
        let width = sample.high - sample.low;
        if width > 0.0 {
            TENTHS * sample.outside.abs() / width
        } else {
            0.0
        }
    }

    fn observed(&self, sample: &Sample) -> Observed {
        Observed {
            kind: AnomalyKind::OutOfRange,
            direction: Direction::of(sample.outside),
            quantity: Quantity::Value,
            expected: sample.value - sample.outside,
            seen: sample.value,
            samples: 1.0,
        }
    }
}
