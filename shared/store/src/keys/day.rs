//! Days: ticks, candles, anomalies and arrivals are stored by the UTC day on which they were received or
//! written, so that a whole day can be dropped.

use domain::MS_PER_DAY;

/// Days since the epoch, UTC.
pub(crate) type Day = u16;

/// The day of a time. Times outside of what a [`Day`] can hold (after the year 2149) belong to its last.
pub(crate) fn of(timestamp_ms: i64) -> Day {
    Day::try_from(timestamp_ms.max(0) / MS_PER_DAY).unwrap_or(Day::MAX)
}

/// The first millisecond of a day.
pub(crate) fn start_ms(day: Day) -> i64 {
    i64::from(day) * MS_PER_DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        for (timestamp_ms, day) in [
            (-1, 0),
            (0, 0),
            (MS_PER_DAY - 1, 0),
            (MS_PER_DAY, 1),
            (i64::MAX, Day::MAX),
        ] {
            assert_eq!(of(timestamp_ms), day, "{timestamp_ms}");
        }
        assert_eq!(of(start_ms(20_519)), 20_519);
        assert_eq!(of(start_ms(20_519) - 1), 20_518);
    }
}
