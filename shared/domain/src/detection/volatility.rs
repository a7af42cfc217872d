//! The current size of changes against that of a longer past: volatility, and series that hardly move.

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};
use super::logarithm::log2;
use super::mean::Mean;
use super::statistic::{Observed, Sample, Statistic};

const SLOW_SPAN: f32 = 1_000.0;

/// A feed whose changes are smaller than this share of the usual is stuck; others are quiet.
const STUCK_SHARE: f32 = 0.25;

/// By how many doublings the size of the changes of the last `FAST` samples differs from that of the past. With
/// `ONLY_LESS`, more movement than usual measures 0.
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
            kind: if ONLY_LESS && self.fast.get() < STUCK_SHARE * self.expected {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The statistic after 2,000 changes of 1 and as many samples as it takes of another size.
    fn after<const ONLY_LESS: bool>(size: f32) -> (f32, Observed) {
        let mut statistic = Volatility::<20, ONLY_LESS>::default();
        let mut last = None;
        for n in 0..2_100_u16 {
            let size = if n < 2_000 { 1.0 } else { size };
            let sample = Sample {
                timestamp_ms: 0,
                value: 0.0,
                change: if n % 2 == 0 { size } else { -size },
                noise: 0.01,
                low: -1.0,
                high: 1.0,
                outside: 0.0,
                share: 1.0 / (f32::from(n) + 1.0),
            };
            last = Some((statistic.measure(&sample), statistic.observed(&sample)));
        }
        last.unwrap()
    }

    #[test]
    fn more_and_less_movement_are_measured_in_doublings() {
        let (more, observed) = after::<false>(8.0);
        assert!((1.5..3.0).contains(&more), "{more}");
        let kind_and_direction = |it: Observed| (it.kind, it.direction);
        let expected = (AnomalyKind::Volatility, Direction::Up);
        assert_eq!(kind_and_direction(observed), expected);
        let (none, observed) = after::<true>(0.0);
        assert!(none > 5.0, "{none}");
        let expected = (AnomalyKind::StuckFeed, Direction::Down);
        assert_eq!(kind_and_direction(observed), expected);
        let (less, quiet) = after::<true>(0.4);
        assert!(less > 1.0, "{less}");
        assert_eq!(
            kind_and_direction(quiet),
            (AnomalyKind::Volatility, Direction::Down)
        );
        assert_eq!(after::<true>(8.0).0, 0.0);
    }
}
