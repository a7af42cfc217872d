//! How long storing a batch may take.

use std::time::Duration;

/// For up to [`TICKS_WITHIN_BASE`] ticks; the webhook's own budget for such a delivery is 700 ms.
pub const STORE_TIMEOUT: Duration = Duration::from_millis(500);

/// For the largest batches.
pub const STORE_TIMEOUT_MAX: Duration = Duration::from_millis(4_500);

/// How many ticks are stored within the base timeout.
const TICKS_WITHIN_BASE: usize = 500;

/// For each further tick: 2,500 a second. A partition reads 3,000 items a second, so even if all of a
/// batch but one tick is stored already and must be looked up, there is time left to store that one.
const PER_FURTHER_TICK: Duration = Duration::from_micros(400);

/// The timeout of storing a batch, which grows with the number of ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreTimeout {
    /// The least, for a few ticks.
    pub base: Duration,
    /// The most, for any number of ticks; not less than `base`.
    pub max: Duration,
}

impl Default for StoreTimeout {
    fn default() -> Self {
        Self {
            base: STORE_TIMEOUT,
            max: STORE_TIMEOUT_MAX,
        }
    }
}

impl StoreTimeout {
    /// The timeout of a number of ticks.
    #[must_use]
    pub fn of(&self, ticks: usize) -> Duration {
        let further = u32::try_from(ticks.saturating_sub(TICKS_WITHIN_BASE)).unwrap_or(u32::MAX);
        let wanted = STORE_TIMEOUT.saturating_add(PER_FURTHER_TICK.saturating_mul(further));
        wanted.max(self.base).min(self.max.max(self.base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_ticks_have_more_time_within_the_limits() {
        let ms = |timeout: StoreTimeout, ticks| timeout.of(ticks).as_millis();
        let default = StoreTimeout::default();
        let times = [0, 1, 500, 1_000, 3_000, 10_000, usize::MAX].map(|ticks| ms(default, ticks));
        assert_eq!(times, [500, 500, 500, 700, 1_500, 4_300, 4_500]);
        let seconds = Duration::from_secs;
        let tight = StoreTimeout {
            base: seconds(3),
            max: seconds(3),
        };
        assert_eq!([1, 10_000].map(|ticks| ms(tight, ticks)), [3_000, 3_000]);
        let long = StoreTimeout {
            base: seconds(20),
            max: seconds(1),
        };
        assert_eq!(ms(long, 10_000), 20_000);
    }
}
