//! The folders of UTC days, `year=2026/month=03/day=07`: Hive's form of partitions, which Athena and Glue read.

use chrono::{Datelike as _, NaiveDate};

/// The folder of a day, without a slash at its end.
#[must_use]
pub fn day_folder(day: NaiveDate) -> String {
    format!("{}day={:02}", month_folder(day), day.day())
}

/// The folder of a day's month, with a slash at its end, as [`crate::objects::Objects::folders`] names it.
#[must_use]
pub fn month_folder(day: NaiveDate) -> String {
    format!("{}month={:02}/", year_folder(day), day.month())
}

/// The folder of a day's year, as [`month_folder`].
#[must_use]
pub fn year_folder(day: NaiveDate) -> String {
    format!("year={:04}/", day.year())
}

/// The day of a folder, with or without a slash at its end; `None` if it is not that of a day.
#[must_use]
pub fn day_of_folder(folder: &str) -> Option<NaiveDate> {
    let mut parts = folder.trim_end_matches('/').split('/');
    let year = parts.next()?.strip_prefix("year=")?.parse().ok()?;
    let month = parts.next()?.strip_prefix("month=")?.parse().ok()?;
    let day = parts.next()?.strip_prefix("day=")?.parse().ok()?;
    let date = NaiveDate::from_ymd_opt(year, month, day)?;
    parts.next().is_none().then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_folder_and_a_folder_a_day() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 7).unwrap();
        assert_eq!(day_folder(day), "year=2026/month=03/day=07");
        assert_eq!(month_folder(day), "year=2026/month=03/");
        for folder in ["year=2026/month=03/day=07", "year=2026/month=03/day=07/"] {
            assert_eq!(day_of_folder(folder), Some(day));
        }
        for other in [
            "",
            "year=2026/month=03/",
            "year=2026/month=13/day=07",
            "year=2026/month=03/day=07/x",
        ] {
            assert_eq!(day_of_folder(other), None, "{other}");
        }
    }
}
