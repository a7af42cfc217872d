//! How many shards a provisioned stream should have when an alarm reports too few or too many.
//!
//! Kinesis allows 10 changes per stream in 24 hours, to at most double and at least half of the
//! open shards, and recommends steps of 25 %.

use std::sync::Arc;

use serde::Serialize;

use app::ports::PortError;

use crate::ports::Shards;

/// The largest limit allowed: more shards need a larger quota and a look at the bill.
pub const SHARDS_MAX: u32 = 500;

/// The smallest step up and the step down, in percent of the open shards.
const STEP_PERCENT: u64 = 25;

/// All open shards, in percent.
const ALL_PERCENT: u64 = 100;

/// The most that one change may reach, in percent of the open shards.
const DOUBLE_PERCENT: u64 = 200;

/// The load of a stream that an alarm reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// More than 80 % of the write throughput is used.
    High {
        /// The measured load divided by the alarm's threshold; 1 if it is not known.
        excess: f64,
    },
    /// Less than 30 % was used for 15 minutes.
    Low,
}

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

    /// How many shards there should be; the same number if nothing is to be done. An alarm never
    /// moves the number against its direction, even if the number is outside the limits.
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

/// Whether a change is made or only reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The change is made.
    Apply,
    /// The change is only reported.
    DryRun,
}

/// What was done about an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Scaled {
    /// The alarm has ended, so there is nothing to do.
    Ended {
        /// How many there are.
        open: u32,
    },
    /// The number of shards is as it should be, or at its limit.
    Unchanged {
        /// How many there are.
        open: u32,
    },
    /// Another number was requested; the stream reaches it later.
    #[serde(rename = "asked")]
    Requested {
        /// How many there are.
        from: u32,
        /// How many there will be.
        to: u32,
    },
    /// Another number would have been requested.
    #[serde(rename = "would_ask")]
    WouldRequest {
        /// How many there are.
        from: u32,
        /// How many there would be.
        to: u32,
    },
    /// Kinesis refused, and a retry would not help: ten changes in 24 hours, or a quota. The next
    /// alarm requests it again.
    Refused {
        /// How many there are.
        from: u32,
        /// How many were requested.
        to: u32,
    },
}

impl Scaled {
    /// How many shards are open, as they were counted.
    #[must_use]
    pub fn open(self) -> u32 {
        match self {
            Self::Ended { open } | Self::Unchanged { open } => open,
            Self::Requested { from, .. }
            | Self::WouldRequest { from, .. }
            | Self::Refused { from, .. } => from,
        }
    }
}

/// Moves the number of shards inside its limits.
pub struct Scaling {
    /// The stream's shards.
    pub shards: Arc<dyn Shards>,
    /// What an operator allows.
    pub limits: ShardLimits,
    /// Whether changes are made.
    pub mode: Mode,
}

impl Scaling {
    /// Handles an alarm; without a load, the alarm has ended.
    ///
    /// # Errors
    /// [`PortError`] if the shards cannot be counted or changed and a retry may help; CloudWatch then invokes the function again.
    pub async fn handle_alarm(&self, load: Option<Load>) -> Result<Scaled, PortError> {
        let open = self.shards.open_count().await?;
        let Some(load) = load else {
            return Ok(Scaled::Ended { open });
        };
        let target = self.limits.target(open, load);
        if target == open {
            return Ok(Scaled::Unchanged { open });
        }
        let (from, to) = (open, target);
        if self.mode == Mode::DryRun {
            return Ok(Scaled::WouldRequest { from, to });
        }
        match self.shards.set(to).await {
            Ok(()) => Ok(Scaled::Requested { from, to }),
            Err(error) if error.retryable => Err(error),
            Err(error) => {
                tracing::error!(error = %error, cause = %error.source, from, to, "the number of \
                    shards was not changed");
                Ok(Scaled::Refused { from, to })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

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
        // Set outside the limits by hand: an alarm about too few shards removes none.
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

    struct Stream {
        open: u32,
        requested: Mutex<Vec<u32>>,
        fails_retryable: Option<bool>,
    }

    #[async_trait]
    impl Shards for Stream {
        async fn open_count(&self) -> Result<u32, PortError> {
            Ok(self.open)
        }
        async fn set(&self, count: u32) -> Result<(), PortError> {
            self.requested.lock().unwrap().push(count);
            self.fails_retryable.map_or(Ok(()), |retryable| {
                Err(PortError {
                    operation: "change the number of shards",
                    retryable,
                    source: "LimitExceededException".into(),
                })
            })
        }
    }

    async fn handle_high_load(
        open: u32,
        mode: Mode,
        fails_retryable: Option<bool>,
    ) -> (Result<Scaled, PortError>, Vec<u32>) {
        let stream = Arc::new(Stream {
            open,
            requested: Mutex::default(),
            fails_retryable,
        });
        let scaling = Scaling {
            shards: Arc::clone(&stream) as _,
            limits: ShardLimits::new(2, 10).unwrap(),
            mode,
        };
        let outcome = scaling.handle_alarm(Some(HIGH)).await;
        let requested = stream.requested.lock().unwrap().clone();
        (outcome, requested)
    }

    #[tokio::test]
    async fn an_alarm_requests_the_new_number_once() {
        let (outcome, requested) = handle_high_load(4, Mode::Apply, None).await;
        assert_eq!(outcome.unwrap(), Scaled::Requested { from: 4, to: 5 });
        assert_eq!(requested, [5]);
        let (outcome, requested) = handle_high_load(10, Mode::Apply, None).await;
        assert_eq!(outcome.unwrap(), Scaled::Unchanged { open: 10 });
        assert!(requested.is_empty());
    }

    #[tokio::test]
    async fn a_dry_run_requests_nothing() {
        let (outcome, requested) = handle_high_load(4, Mode::DryRun, None).await;
        assert_eq!(outcome.unwrap(), Scaled::WouldRequest { from: 4, to: 5 });
        assert!(requested.is_empty());
    }

    #[tokio::test]
    async fn the_tenth_change_of_a_day_is_not_retried() {
        let (outcome, requested) = handle_high_load(4, Mode::Apply, Some(false)).await;
        assert_eq!(outcome.unwrap(), Scaled::Refused { from: 4, to: 5 });
        assert_eq!(requested, [5]);
        let (outcome, _) = handle_high_load(4, Mode::Apply, Some(true)).await;
        assert!(outcome.unwrap_err().retryable);
    }
}
