//! The size of changes now against that of a longer past: volatility, and series that hardly move.

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};
use super::logarithm::log2;
use super::mean::Mean;
use super::statistic::{Observed, Sample, Statistic};

const SLOW_SPAN: f32 = 1_000.0;

/// By how many doublings the size of the changes of the last `FAST` samples differs from that of the past. With
/// `ONLY_LESS`, more movement is none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Volatility<const FAST: u16, const ONLY_LESS: bool> {
    fast: Mean,
    slow: Mean,
    expected: f32,
}

impl<const FAST: u16, const ONLY_LESS: bool> Statistic for Volatility<FAST, ONLY_LESS> {
    fn measure(&mut self, sample: &Sample) -> f32 {
        let size = sample.change.abs();
        self.fast.add(size, f32::from(FAST), sample.share);
        self.expected = self.slow.get();
        let ratio = (self.fast.get() + sample.noise) / (self.expected + sample.noise);
        self.slow.add(size, SLOW_SPAN, sample.share);
        let doublings = log2(ratio);
        if ONLY_LESS {
            (-doublings).max(0.0)
        } else {
            doublings.abs()
        }
    }

    fn observed(&self, _: &Sample) -> Observed {
        Observed {
            kind: if ONLY_LESS {
                AnomalyKind::StuckFeed
            } else {
                AnomalyKind::Volatility
            },
            direction: Direction::of(self.fast.get() - self.expected),
            quantity: Quantity::Change,
            expected: self.expected,
            seen: self.fast.get(),
            samples: f32::from(FAST),
        }
    }
}
