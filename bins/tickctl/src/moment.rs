//! A moment on the command line: a time, or how long ago.

use std::str::FromStr;

pub use app::time_text::time_text;
use chrono::{DateTime, NaiveDate};

use crate::process::{BadInput, ExitUnseen};

/// A moment: absolute, or relative to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Epoch milliseconds.
    At(i64),
    /// So many milliseconds ago.
    Ago(i64),
}

/// The text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a time: use 2026-03-07T12:00:00Z, 2026-03-07 (its beginning, UTC), epoch milliseconds, `now`, or \
     how long ago, such as 90s, 30m, 2h or 7d"
)]
pub struct MomentError(String);

impl Moment {
    /// The moment in epoch milliseconds.
    #[must_use]
    pub fn ms(self, now_ms: i64) -> i64 {
        match self {
            Self::At(ms) => ms,
            Self::Ago(ms) => now_ms.saturating_sub(ms),
        }
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let refused = || MomentError(text.chars().take(40).collect());
        if text == "now" {
            return Ok(Self::Ago(0));
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(time.timestamp_millis()));
        }
        if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            let start = day.and_hms_opt(0, 0, 0).ok_or_else(refused)?;
            return Ok(Self::At(start.and_utc().timestamp_millis()));
        }
        let end = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text
            .split_at_checked(end.unwrap_or(text.len()))
            .ok_or_else(refused)?;
        let number: i64 = number.parse().map_err(|_| refused())?;
        let unit_ms = match unit {
            // Eleven digits are seconds, which somebody meant as milliseconds.
            "" if number >= 100_000_000_000 => return Ok(Self::At(number)),
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(refused()),
        };
        number
            .checked_mul(unit_ms)
            .map(Self::Ago)
            .ok_or_else(refused)
    }
}

/// The range between two moments, in epoch milliseconds: the first inclusive, the second exclusive.
///
/// # Errors
/// [`BadInput`] if it is empty, and [`ExitUnseen`] if it has not begun.
pub fn range_ms(from: Moment, to: Moment, now_ms: i64) -> anyhow::Result<(i64, i64)> {
    let (from_ms, to_ms) = (from.ms(now_ms), to.ms(now_ms));
    let has_begun = from_ms < now_ms;
    // The end may only be the default.
    if from_ms >= to_ms && (has_begun || to_ms != now_ms) {
        return Err(BadInput("--from is not before --to".to_owned()).into());
    }
    if !has_begun {
        return Err(ExitUnseen(format!(
            "there is nothing to see yet: --from is in the future, {}",
            time_text(from_ms)
        ))
        .into());
    }
    Ok((from_ms, to_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_has_not_begun_is_nothing_to_see() {
        let of = |from, to| range_ms(Moment::At(from), Moment::At(to), 50);
        assert_eq!(of(10, 60).unwrap(), (10, 60));
        assert!(of(10, 10).unwrap_err().is::<BadInput>());
        assert!(of(70, 60).unwrap_err().is::<BadInput>());
        assert!(of(70, 50).unwrap_err().is::<ExitUnseen>());
        let future = of(50, 60).unwrap_err();
        assert!(
            future.is::<ExitUnseen>() && future.to_string().contains("1970-01-01T00:00:00.050Z")
        );
    }

    #[test]
    fn moments_are_times_or_how_long_ago() {
        const DAY_MS: i64 = 1_767_312_000_000;
        for (text, expected) in [
            ("2026-01-02T00:00:00Z", DAY_MS),
            ("2026-01-02T01:00:00+01:00", DAY_MS),
            ("2026-01-02", DAY_MS),
            ("1767312000000", DAY_MS),
            ("now", DAY_MS + 5),
            ("5m", DAY_MS + 5 - 300_000),
            ("2h", DAY_MS + 5 - 7_200_000),
            ("7d", DAY_MS + 5 - 604_800_000),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.ms(DAY_MS + 5), expected, "{text}");
        }
        for bad in [
            "",
            "h",
            "5",
            "1767312000",
            "yesterday",
            "-5m",
            "5x",
            "2026-02-30",
            "99999999999999999999d",
        ] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }
}
