//! The intervals of candles. Each starts on a multiple of its length since the epoch (UTC), so all
//! readers use the same boundaries.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How long a candle lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Interval {
    /// One second.
    #[serde(rename = "1s")]
    OneSecond,
    /// One minute.
    #[serde(rename = "1m")]
    OneMinute,
    /// Five minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// One hour.
    #[serde(rename = "1h")]
    OneHour,
}

/// The text is not the name of an interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an interval: use 1s, 1m, 5m or 1h")]
pub struct IntervalError(String);

impl Interval {
    /// All intervals, the shortest first.
    pub const ALL: [Self; 4] = [
        Self::OneSecond,
        Self::OneMinute,
        Self::FiveMinutes,
        Self::OneHour,
    ];

    /// The name in JSON, SQL, URLs and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneSecond => "1s",
            Self::OneMinute => "1m",
            Self::FiveMinutes => "5m",
            Self::OneHour => "1h",
        }
    }

    /// The length in milliseconds.
    #[must_use]
    pub fn duration_ms(self) -> i64 {
        match self {
            Self::OneSecond => 1_000,
            Self::OneMinute => 60_000,
            Self::FiveMinutes => 300_000,
            Self::OneHour => 3_600_000,
        }
    }

    /// The start of the interval that contains `timestamp_ms`. Starts are inclusive, ends
    /// exclusive.
    #[must_use]
    pub fn start_of(self, timestamp_ms: i64) -> i64 {
        timestamp_ms.saturating_sub(timestamp_ms.rem_euclid(self.duration_ms()))
    }
}

impl FromStr for Interval {
    type Err = IntervalError;
    fn from_str(text: &str) -> Result<Self, IntervalError> {
        Self::ALL
            .into_iter()
            .find(|interval| interval.as_str() == text)
            .ok_or_else(|| IntervalError(text.chars().take(20).collect()))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_one_name_each() {
        for interval in Interval::ALL {
            assert_eq!(interval.as_str().parse(), Ok(interval));
            let json = serde_json::to_string(&interval).unwrap();
            assert_eq!(json, format!("\"{interval}\""));
            assert_eq!(serde_json::from_str::<Interval>(&json).unwrap(), interval);
        }
        for text in ["", "2m", "1M", "60s", " 1m"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }

    fn check(interval: Interval, timestamp_ms: i64, expected: i64) {
        assert_eq!(
            interval.start_of(timestamp_ms),
            expected,
            "{interval} at {timestamp_ms}"
        );
    }

    #[test]
    fn intervals_start_on_multiples_of_their_length() {
        // 2021-01-08T10:17:42.999Z
        let timestamp_ms = 1_610_101_062_999;
        check(Interval::OneSecond, timestamp_ms, 1_610_101_062_000);
        check(Interval::OneMinute, timestamp_ms, 1_610_101_020_000);
        check(Interval::FiveMinutes, timestamp_ms, 1_610_100_900_000);
        check(Interval::OneHour, timestamp_ms, 1_610_100_000_000);
        check(Interval::OneMinute, 60_000, 60_000);
        check(Interval::OneMinute, 59_999, 0);
        check(Interval::OneMinute, -1, -60_000);
        check(Interval::OneHour, i64::MIN, i64::MIN);
    }
}
