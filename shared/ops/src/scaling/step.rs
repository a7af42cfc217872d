//! How far one step goes: the operator's limits, and those of Kinesis, which allows to at most double and at least halve
//! the open shards and recommends steps of 25 %.
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html>

use crate::stream_history::Load;

/// The largest limit allowed: more shards need a larger quota and a look at the bill.
pub const SHARDS_MAX: u32 = 500;

/// The smallest step up and the step down, in percent of the open shards.
const STEP_PERCENT: u64 = 25;

/// All open shards, in percent.
const ALL_PERCENT: u64 = 100;

/// The most that one change may reach, in percent of the open shards.
const DOUBLE_PERCENT: u64 = 200;

/// The smallest and the largest number of shards that an operator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardLimits {
    min: u32,
    max: u32,
}

/// Limits that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid shard limits {min} to {max}: the minimum must be at least 1 and not above the \
     maximum, and the maximum at most {SHARDS_MAX}"
)]
pub struct ShardLimitsError {
    min: u32,
    max: u32,
}

impl ShardLimits {
    /// From `min` to `max`, both included.
    ///
    /// # Errors
    /// [`ShardLimitsError`] if no number of shards satisfies the limits.
    pub fn new(min: u32, max: u32) -> Result<Self, ShardLimitsError> {
        if min == 0 || min > max || max > SHARDS_MAX {
            return Err(ShardLimitsError { min, max });
        }
        Ok(Self { min, max })
    }

    /// How many shards there should be; the same number if nothing is to be done. A load never moves the number
    /// against its direction, even if the number is outside the limits.
    #[must_use]
    pub fn target(self, open: u32, load: Load) -> u32 {
        match load {
            Load::High { excess } => {
                let wanted = percent_of(open, step_up_percent(excess));
                wanted.min(self.max).max(open)
            }
            Load::Low => {
                let less = u64::from(open) * (ALL_PERCENT - STEP_PERCENT) / ALL_PERCENT;
                let less = u32::try_from(less).unwrap_or(open).max(open.div_ceil(2));
                less.max(self.min).min(open)
            }
        }
    }
}

/// The step that brings the load to four fifths of the threshold or below, in steps of 25 % of the
/// open shards, and never more than double.
fn step_up_percent(excess: f64) -> u64 {
    (1..)
        .map(|steps| ALL_PERCENT + steps * STEP_PERCENT)
        .take_while(|percent| *percent < DOUBLE_PERCENT)
        .find(|percent| {
            let reached = *percent as f64 / (ALL_PERCENT + STEP_PERCENT) as f64;
            // NaN gets the smallest step.
            excess.is_nan() || excess <= reached
        })
        .unwrap_or(DOUBLE_PERCENT)
}

fn percent_of(open: u32, percent: u64) -> u32 {
    let shards = (u64::from(open) * percent).div_ceil(ALL_PERCENT);
    u32::try_from(shards).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIGH: Load = Load::High { excess: 1.0 };

    #[track_caller]
    fn check(limits: (u32, u32), load: Load, steps: &[(u32, u32)]) {
        let limits = ShardLimits::new(limits.0, limits.1).unwrap();
        for (open, expected) in steps {
            assert_eq!(
                limits.target(*open, load),
                *expected,
                "from {open} on {load:?}"
            );
        }
    }

    #[test]
    fn a_high_load_adds_a_quarter_and_no_more_than_allowed() {
        check(
            (2, 10),
            HIGH,
            &[
                (1, 2),
                (2, 3),
                (3, 4),
                (4, 5),
                (5, 7),
                (8, 10),
                (9, 10),
                (10, 10),
            ],
        );
        // Set outside the limits by hand: a high load removes none.
        check((2, 10), HIGH, &[(12, 12), (0, 0)]);
    }

    #[test]
    fn a_load_far_above_the_threshold_adds_more_but_never_doubles_twice() {
        let high = |excess| Load::High { excess };
        check((1, 500), high(1.1), &[(100, 150), (4, 6)]);
        check((1, 500), high(1.25), &[(100, 175)]);
        check((1, 500), high(1.5), &[(100, 200)]);
        check((1, 500), high(9.0), &[(100, 200), (1, 2), (3, 6)]);
        check((1, 500), high(f64::NAN), &[(100, 125)]);
        check((1, 500), high(0.0), &[(100, 125)]);
    }

    #[test]
    fn a_low_load_removes_a_quarter_but_never_more_than_half() {
        check(
            (2, 10),
            Load::Low,
            &[(10, 7), (7, 5), (5, 3), (3, 2), (2, 2), (1, 1)],
        );
        check((1, 10), Load::Low, &[(3, 2), (2, 1), (1, 1), (0, 0)]);
        check((4, 10), Load::Low, &[(5, 4), (3, 3)]);
    }

    #[test]
    fn every_step_is_within_the_limits_of_kinesis() {
        let limits = ShardLimits::new(1, SHARDS_MAX).unwrap();
        for open in 1..=SHARDS_MAX {
            for load in [HIGH, Load::High { excess: 3.0 }, Load::Low] {
                let target = limits.target(open, load);
                assert!(
                    target <= 2 * open && target >= open.div_ceil(2),
                    "{open} to {target}"
                );
            }
        }
    }

    #[test]
    fn limits_that_contradict_each_other_are_refused() {
        for (min, max) in [(0, 4), (5, 4), (1, SHARDS_MAX + 1)] {
            assert_eq!(
                ShardLimits::new(min, max),
                Err(ShardLimitsError { min, max })
            );
        }
    }
}
