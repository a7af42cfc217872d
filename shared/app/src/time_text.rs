//! Times for people.

use chrono::{DateTime, SecondsFormat};

/// A time as `2026-03-07T12:00:00Z`, with milliseconds if it has any; the number if it is outside the calendar.
#[must_use]
pub fn time_text(epoch_ms: i64) -> String {
    DateTime::from_timestamp_millis(epoch_ms).map_or_else(
        || epoch_ms.to_string(),
        |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_utc_and_in_the_calendar_if_it_can_be() {
        assert_eq!(time_text(1_767_312_000_000), "2026-01-02T00:00:00Z");
        assert_eq!(time_text(1_767_312_000_050), "2026-01-02T00:00:00.050Z");
        assert_eq!(time_text(i64::MAX), i64::MAX.to_string());
    }
}
