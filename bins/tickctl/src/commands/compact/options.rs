//! Parses days, sizes and times from the command line.

use chrono::{Days, NaiveDate};

/// A day (UTC), by date or relative to today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayArg {
    /// A date.
    Date(NaiveDate),
    /// The current day.
    Today,
    /// The day before.
    Yesterday,
}

impl DayArg {
    /// The date, relative to `today`.
    #[must_use]
    pub fn on(self, today: NaiveDate) -> NaiveDate {
        match self {
            Self::Date(date) => date,
            Self::Today => today,
            Self::Yesterday => today.checked_sub_days(Days::new(1)).unwrap_or(today),
        }
    }
}

pub(super) fn parse_day(text: &str) -> Result<DayArg, String> {
    match text {
        "today" => Ok(DayArg::Today),
        "yesterday" => Ok(DayArg::Yesterday),
        date => {
            let date = NaiveDate::parse_from_str(date, "%Y-%m-%d");
            date.map(DayArg::Date)
                .map_err(|_| "use a day such as 2026-03-07, `today` or `yesterday`".to_owned())
        }
    }
}

/// A whole number and its unit.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at_checked(end.unwrap_or(text.len()))?;
    Some((number.parse().ok()?, unit.trim()))
}

pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    let bytes = number_and_unit(text).and_then(|(number, unit)| {
        let unit: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(unit)
    });
    bytes.ok_or_else(|| "use a size such as 268435456, 256MB or 256MiB".to_owned())
}

/// Milliseconds.
pub(super) fn parse_time(text: &str) -> Result<i64, String> {
    let time = number_and_unit(text).and_then(|(number, unit)| {
        let unit_ms: i64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        i64::try_from(number).ok()?.checked_mul(unit_ms)
    });
    time.ok_or_else(|| "use a time such as 0s, 90s, 10m or 2h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates_or_words() {
        let today = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
        let on = |text: &str| parse_day(text).map(|day| day.on(today).to_string());
        assert_eq!(on("today").as_deref(), Ok("2026-03-01"));
        assert_eq!(on("yesterday").as_deref(), Ok("2026-02-28"));
        assert_eq!(on("2024-02-29").as_deref(), Ok("2024-02-29"));
        for bad in ["", "2026-02-30", "7.3.2026", "tomorrow"] {
            assert!(on(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_and_times_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("64KB", 64_000),
            ("256MiB", 268_435_456),
            ("1 gb", 1_000_000_000),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for (text, ms) in [
            ("0s", 0),
            ("90s", 90_000),
            ("10m", 600_000),
            ("2h", 7_200_000),
        ] {
            assert_eq!(parse_time(text), Ok(ms), "{text}");
        }
        for bad in [
            "",
            "MB",
            "-1MB",
            "1.5GB",
            "5x",
            "99999999999999999999",
            "99999999999GB",
            "ü",
        ] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
            assert!(parse_time(bad).is_err(), "{bad}");
        }
        assert!(parse_time("10").is_err(), "of what?");
    }
}
