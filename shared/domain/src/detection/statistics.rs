//! The statistics of a horizon, and their common evidence.

use serde::{Deserialize, Serialize};

use super::level::Level;
use super::out_of_range::OutOfRange;
use super::past::Past;
use super::statistic::{Observed, Sample, Statistic};
use super::time_of_day::TimeOfDay;
use super::volatility::Volatility;

/// How many there are.
const STATISTICS: usize = 7;

/// The first samples do not count as evidence: their past is too short.
const SHARE_MAX: f32 = 1.0 / 10.0;

/// The statistics of one horizon, each with its past.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Statistics {
    short: Level<3, 50>,
    middle: Level<12, 500>,
    long: Level<30, 1_500>,
    volatility: Volatility<20, false>,
    quiet: Volatility<60, true>,
    out_of_range: OutOfRange,
    /// Only at the first horizon: the others would see the same.
    time_of_day: Option<Box<TimeOfDay>>,
    pasts: [Past; STATISTICS],
}

impl Statistics {
    /// Statistics with a range for each time of day.
    pub(super) fn with_time_of_day() -> Self {
        Self {
            time_of_day: Some(Box::default()),
            ..Self::default()
        }
    }

    /// The evidence that a sample is an anomaly: the root mean square of the rarities of all measures; and the
    /// number of the statistic that contributed most.
    pub(super) fn evidence(&mut self, sample: &Sample) -> (f32, usize) {
        // Called one by one, so that the compiler can interleave their divisions, which would wait for one another in a loop.
        let measures = [
            Some(self.short.measure(sample)),
            Some(self.middle.measure(sample)),
            Some(self.long.measure(sample)),
            Some(self.volatility.measure(sample)),
            Some(self.quiet.measure(sample)),
            Some(self.out_of_range.measure(sample)),
            self.time_of_day.as_mut().map(|it| it.measure(sample)),
        ];
        let (mut squares, mut used) = (0.0, 0.0);
        let (mut largest, mut most) = (-1.0, 0);
        for (at, (past, measure)) in self.pasts.iter_mut().zip(measures).enumerate() {
            let Some(measure) = measure else {
                continue;
            };
            let rarity = past.rank(measure);
            squares += rarity * rarity;
            used += 1.0;
            if rarity > largest {
                (largest, most) = (rarity, at);
            }
        }
        if sample.share >= SHARE_MAX {
            return (0.0, most);
        }
        ((squares / used).sqrt(), most)
    }

    /// What a statistic saw in the last sample.
    pub(super) fn observed(&self, number: usize, sample: &Sample) -> Option<Observed> {
        Some(match number {
            0 => self.short.observed(sample),
            1 => self.middle.observed(sample),
            2 => self.long.observed(sample),
            3 => self.volatility.observed(sample),
            4 => self.quiet.observed(sample),
            5 => self.out_of_range.observed(sample),
            _ => self.time_of_day.as_ref()?.observed(sample),
        })
    }
}
