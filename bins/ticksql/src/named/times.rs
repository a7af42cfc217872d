//! Times as people type them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

/// The smallest number that counts as milliseconds: smaller ones would be times around 1970, and
/// are most likely something else.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// The first number that is too large for milliseconds: it is in the year 2286.
const MILLISECONDS_TO: i64 = 10_000_000_000_000;

/// Seconds since the epoch are now between this number and ten times it.
const SECONDS_FROM: i64 = 1_000_000_000;

const EXPECTED: &str = "expected 2026-03-07, 2026, 20260307, 2026-03-07T15:04:05Z, milliseconds since the epoch, now or now-15m (s, m, h, d, w)";

/// A moment in milliseconds since the epoch.
pub(super) fn parse(text: &str, now_ms: i64) -> Result<i64, String> {
    let text = text.trim();
    if let Some(offset) = text.strip_prefix("now") {
        let moment = offset_ms(offset).and_then(|offset| now_ms.checked_add(offset));
        return moment.ok_or_else(|| EXPECTED.to_owned());
    }
    if let Ok(number) = text.parse::<i64>() {
        return of_number(text, number);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp_millis());
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(midnight_ms(date));
    }
    let forms = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
    ];
    let mut times = forms
        .iter()
        .map(|form| NaiveDateTime::parse_from_str(text, form));
    times
        .find_map(Result::ok)
        .map(|time| time.and_utc().timestamp_millis())
        .ok_or_else(|| EXPECTED.to_owned())
}

/// A number is a year, a date, or milliseconds, by its digits.
fn of_number(text: &str, number: i64) -> Result<i64, String> {
    let calendar = match text.len() {
        4 => format!("{text}0101"),
        8 => text.to_owned(),
        _ => String::new(),
    };
    if calendar.len() == 8 && calendar.bytes().all(|byte| byte.is_ascii_digit()) {
        let date = NaiveDate::parse_from_str(&calendar, "%Y%m%d");
        return date
            .map(midnight_ms)
            .map_err(|_| format!("there is no such day; {EXPECTED}"));
    }
    if (SECONDS_FROM..10 * SECONDS_FROM).contains(&number) {
        return Err(format!(
            "it looks like seconds; milliseconds are {number}000"
        ));
    }
    if (MILLISECONDS_FROM..MILLISECONDS_TO).contains(&number) {
        return Ok(number);
    }
    Err(format!(
        "a number of four digits is a year, one of eight a date (20260307), and milliseconds since the epoch \
         are from {MILLISECONDS_FROM} (in 1973) to {} (in 2286)",
        MILLISECONDS_TO - 1
    ))
}

fn midnight_ms(date: NaiveDate) -> i64 {
    date.and_time(NaiveTime::MIN).and_utc().timestamp_millis()
}

/// `-15m` as milliseconds; an empty text is 0.
fn offset_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.is_empty() {
        return Some(0);
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let unit = rest.chars().last()?;
    let unit_ms = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        'w' => 7 * 86_400_000,
        _ => return None,
    };
    let count = rest.strip_suffix(unit)?.trim();
    let digits = !count.is_empty() && count.chars().all(|char| char.is_ascii_digit());
    let count: i64 = count.parse().ok().filter(|_| digits)?;
    count.checked_mul(unit_ms)?.checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_772_928_000_000;

    #[test]
    fn times_are_read_in_the_forms_people_type() {
        let check =
            |text: &str, expected: i64| assert_eq!(parse(text, NOW_MS), Ok(expected), "{text}");
        check("2026-03-07", NOW_MS - 86_400_000);
        check("2026-03-08T00:00:00Z", NOW_MS);
        check("2026-03-08T01:30:00.250+01:30", NOW_MS + 250);
        check("2026-03-08T00:01", NOW_MS + 60_000);
        check("2026-03-08 00:00:01.5", NOW_MS + 1_500);
        check("1772928000000", NOW_MS);
        check("100000000000", 100_000_000_000);
        check("9999999999999", 9_999_999_999_999);
        check("20260308", NOW_MS);
        check("2026", 1_767_225_600_000);
        check("1970", 0);
        check("now", NOW_MS);
        check("now-15m", NOW_MS - 900_000);
        check("now - 7d", NOW_MS - 7 * 86_400_000);
        check("now+1w", NOW_MS + 7 * 86_400_000);
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "now-",
            "now-m",
            "now-+5m",
            "now5m",
            "nowadays",
            "2026-02-30",
            "20260230",
            "20261301",
            "+202",
            "-026",
            "0",
            "-1",
            "7",
            "202603",
            "99999999999",
            "10000000000000",
            "20260307101500",
            "1772928000000000",
            "now-9223372036854775807w",
        ] {
            let result = parse(text, NOW_MS);
            assert!(result.is_err(), "{text}: {result:?}");
        }
        assert_eq!(
            parse("1772928000", NOW_MS),
            Err("it looks like seconds; milliseconds are 1772928000000".to_owned())
        );
        let error = parse("202603", NOW_MS).unwrap_err();
        assert!(error.contains("one of eight a date"), "{error}");
        let error = parse("20260230", NOW_MS).unwrap_err();
        assert!(error.starts_with("there is no such day"), "{error}");
    }
}
