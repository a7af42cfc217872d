//! The longest delay between event and receipt that the ticks of a feed had lately.

use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 86_400_000;

/// The longest delay of today and of the day before (UTC, by our clock).
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct LongestDelay {
    day: i64,
    today_ms: i64,
    day_before_ms: i64,
}

impl LongestDelay {
    /// Adds the delay of a tick that was received at that moment.
    pub(super) fn add(&mut self, received_ms: i64, delay_ms: i64) {
        let day = received_ms.div_euclid(DAY_MS);
        if day > self.day {
            let is_next = day == self.day + 1;
            self.day_before_ms = if is_next { self.today_ms } else { 0 };
            (self.day, self.today_ms) = (day, 0);
        }
        self.today_ms = self.today_ms.max(delay_ms);
    }

    /// The longest delay, in milliseconds.
    pub(super) fn get_ms(&self) -> i64 {
        self.today_ms.max(self.day_before_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_counts_today_and_tomorrow() {
        let mut longest = LongestDelay::default();
        let mut after = |day: i64, delay_ms| {
            longest.add(day * DAY_MS + 1_000, delay_ms);
            longest.get_ms()
        };
        assert_eq!(after(20_000, 700), 700);
        assert_eq!(after(20_000, 20), 700);
        assert_eq!(after(20_001, 30), 700);
        assert_eq!(after(20_002, 10), 30);
        assert_eq!(after(20_009, 5), 5);
        // A clock that was set back.
        assert_eq!(after(20_008, 9), 9);
    }
}
