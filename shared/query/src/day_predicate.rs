//! The predicate on year, month and day that a range of time implies.

use chrono::{DateTime, Datelike as _, Days, NaiveDate};

/// A predicate that is false on every day.
const NEVER: &str = "(1 = 0)";

/// The predicate on `year`, `month` and `day` that leaves exactly the UTC days that a range of
/// event time touches: `from_ms` is its first moment, `to_ms` the one after its last, both in
/// milliseconds since the epoch. Whole months and years stay whole.
///
/// `None` if a moment lies outside the calendar (some 260,000 years around now).
#[must_use]
pub fn day_predicate(from_ms: i64, to_ms: i64) -> Option<String> {
    if from_ms >= to_ms {
        return Some(NEVER.to_owned());
    }
    let first = day_of(from_ms)?;
    let last = day_of(to_ms.checked_sub(1)?)?;
    let mut parts = Vec::new();
    let mut from = first;
    while from <= last {
        // The largest of year, month, day that starts here and ends in time.
        let (part, next) = years(from, last)
            .or_else(|| months(from, last))
            .unwrap_or_else(|| days(from, last));
        parts.push(part);
        from = next?;
    }
    let predicate = match parts.as_slice() {
        [only] => only.clone(),
        several => several
            .iter()
            .map(|part| format!("({part})"))
            .collect::<Vec<_>>()
            .join(" OR "),
    };
    Some(format!("({predicate})"))
}

fn day_of(ms: i64) -> Option<NaiveDate> {
    DateTime::from_timestamp_millis(ms).map(|time| time.date_naive())
}

/// A part of the predicate, and the day after it.
type Range = (String, Option<NaiveDate>);

fn years(from: NaiveDate, last: NaiveDate) -> Option<Range> {
    if from.ordinal() != 1 {
        return None;
    }
    let whole = match NaiveDate::from_ymd_opt(last.year().checked_add(1)?, 1, 1) {
        Some(next) if next.pred_opt() == Some(last) => last.year(),
        _ => last.year() - 1,
    };
    (whole >= from.year()).then(|| {
        let next = NaiveDate::from_ymd_opt(whole + 1, 1, 1);
        (range("year", from.year(), whole), next)
    })
}

fn months(from: NaiveDate, last: NaiveDate) -> Option<Range> {
    if from.day() != 1 {
        return None;
    }
    let end = if last.year() > from.year() {
        13
    } else if last.succ_opt().is_none_or(|next| next.day() == 1) {
        last.month() + 1
    } else {
        last.month()
    };
    (end > from.month()).then(|| {
        let next = match end {
            13 => NaiveDate::from_ymd_opt(from.year() + 1, 1, 1),
            month => NaiveDate::from_ymd_opt(from.year(), month, 1),
        };
        let months = range("month", from.month(), end - 1);
        (format!("year = {} AND {months}", from.year()), next)
    })
}

fn days(from: NaiveDate, last: NaiveDate) -> Range {
    let same = (last.year(), last.month()) == (from.year(), from.month());
    let after = u64::from(u32::from(from.num_days_in_month()) - from.day() + 1);
    let next = from.checked_add_days(Days::new(after));
    let of_month = format!("year = {} AND month = {}", from.year(), from.month());
    if same {
        let days = range("day", from.day(), last.day());
        (format!("{of_month} AND {days}"), last.succ_opt())
    } else {
        (format!("{of_month} AND day >= {}", from.day()), next)
    }
}

fn range<T: PartialEq + std::fmt::Display>(name: &str, first: T, last: T) -> String {
    if first == last {
        format!("{name} = {first}")
    } else {
        format!("{name} BETWEEN {first} AND {last}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive_scans;

    fn ms(text: &str) -> i64 {
        let time: DateTime<chrono::Utc> = text.parse().unwrap();
        time.timestamp_millis()
    }

    #[test]
    fn a_range_is_in_the_largest_units() {
        let check = |from: &str, to: &str, expected: &str| {
            assert_eq!(day_predicate(ms(from), ms(to)).unwrap(), expected);
        };
        check(
            "2026-03-07T00:00:00Z",
            "2026-03-08T00:00:00Z",
            "(year = 2026 AND month = 3 AND day = 7)",
        );
        check(
            "2026-03-07T23:59:59.999Z",
            "2026-03-08T00:00:00.001Z",
            "(year = 2026 AND month = 3 AND day BETWEEN 7 AND 8)",
        );
        check(
            "2026-03-05T10:00:00Z",
            "2026-04-01T00:00:01Z",
            "((year = 2026 AND month = 3 AND day >= 5) OR (year = 2026 AND month = 4 AND day = 1))",
        );
        check(
            "2026-02-01T00:00:00Z",
            "2026-05-01T00:00:00Z",
            "(year = 2026 AND month BETWEEN 2 AND 4)",
        );
        check(
            "2025-01-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
            "(year BETWEEN 2025 AND 2026)",
        );
        check(
            "2024-12-31T00:00:00Z",
            "2026-01-02T00:00:00Z",
            "((year = 2024 AND month = 12 AND day >= 31) OR (year = 2025) OR (year = 2026 AND month = 1 AND day = 1))",
        );
        check("2026-03-07T00:00:00Z", "2026-03-07T00:00:00Z", "(1 = 0)");
        assert_eq!(day_predicate(i64::MIN, i64::MAX), None);
    }

    proptest! {
        /// The predicate leaves the days that the range touches, and no others.
        #[test]
        fn the_days_of_a_range_and_no_others_are_left(
            from in ms("2023-06-01T00:00:00Z")..ms("2026-06-01T00:00:00Z"),
            length in 0_i64..900 * 86_400_000,
        ) {
            let to = from + length;
            let sql = format!("SELECT 1 FROM ticks WHERE {}", day_predicate(from, to).unwrap());
            let scans = archive_scans(&sql, &[]).unwrap().scans;
            let (from_day, to_day) = (day_of(from).unwrap(), day_of(to - 1).unwrap());
            for day in NaiveDate::from_ymd_opt(2023, 1, 1).unwrap().iter_days().take(2_200) {
                let touched = length > 0 && from_day <= day && day <= to_day;
                prop_assert_eq!(scans[0].keeps(day), touched, "{}: {}", day, sql);
            }
        }
    }
}
