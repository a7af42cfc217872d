//! The UTC days of times.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate};
use domain::TIMESTAMP_MS_MIN;

/// The end of the year 9999.
const LAST_MS: i64 = 253_402_300_799_999;

/// The UTC day of a time in epoch milliseconds. No tick has a time before the year 2000, so that earlier ones belong to
/// its first day; those after the year 9999 belong to its last one.
#[must_use]
pub fn day_of(epoch_ms: i64) -> NaiveDate {
    let epoch_ms = epoch_ms.clamp(TIMESTAMP_MS_MIN, LAST_MS);
    DateTime::from_timestamp_millis(epoch_ms).map_or(NaiveDate::MAX, |time| time.date_naive())
}

/// The UTC days of `from_ms <= time < to_ms`, in epoch milliseconds.
#[must_use]
pub fn days(from_ms: i64, to_ms: i64) -> BTreeSet<NaiveDate> {
    if from_ms >= to_ms {
        return BTreeSet::new();
    }
    let last = day_of(to_ms.saturating_sub(1));
    let first = day_of(from_ms);
    first.iter_days().take_while(|day| *day <= last).collect()
}

#[cfg(test)]
mod tests {
    use domain::MS_PER_DAY;

    use super::*;

    /// 2026-01-01T00:00:00Z.
    const START_MS: i64 = 1_767_225_600_000;

    #[test]
    fn the_days_of_a_range_are_those_of_its_milliseconds() {
        let count = |from_ms, to_ms| days(from_ms, to_ms).len();
        assert_eq!(count(START_MS, START_MS + MS_PER_DAY), 1);
        assert_eq!(count(START_MS - 1, START_MS + MS_PER_DAY + 1), 3);
        assert_eq!(count(START_MS, START_MS), 0);
        assert_eq!(count(START_MS, START_MS - MS_PER_DAY), 0);
    }

    /// A range that no calendar has is not an empty one.
    #[test]
    fn times_that_no_tick_has_belong_to_the_first_or_the_last_day() {
        let first = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
        for before_ms in [i64::MIN, -1, 0] {
            assert_eq!(days(before_ms, START_MS).first(), Some(&first));
        }
        let last = NaiveDate::from_ymd_opt(9999, 12, 31).unwrap();
        assert_eq!(day_of(i64::MAX), last);
    }
}
