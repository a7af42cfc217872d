//! The times of a series, as people and programs write them.

use chrono::{DateTime, NaiveDateTime};

/// The end of the year 9999. A larger number is not of milliseconds.
const LATEST_MS: i64 = 253_402_300_799_999;

/// Milliseconds since the epoch of a time in RFC 3339, of `YYYY-MM-DD HH:MM:SS` in UTC (with a fraction, or with a T,
/// too), or of a whole number of milliseconds since the epoch, up to the year 9999.
pub(super) fn parse(text: &str) -> Option<i64> {
    if let Ok(ms) = text.parse::<i64>() {
        return (-LATEST_MS..=LATEST_MS).contains(&ms).then_some(ms);
    }
    let utc = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
    let utc = utc
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let utc = utc.map(|time| time.and_utc().timestamp_millis());
    utc.or_else(|| Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_ways_to_write_a_time_are_read() {
        let ms = 1_396_388_745_000;
        for text in [
            "1396388745000",
            "2014-04-01 21:45:45",
            "2014-04-01 21:45:45.000000",
            "2014-04-01T21:45:45",
            "2014-04-01T21:45:45Z",
            "2014-04-01T23:45:45+02:00",
            "2014-04-01 21:45:45Z",
        ] {
            assert_eq!(parse(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2014-04-01",
            "2014-13-01 00:00:00",
            "1.5e12",
            "1396388745000000",
            "-9223372036854775808",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
