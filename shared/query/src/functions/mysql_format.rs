//! The formats of `date_format` and `date_parse`: a percent sign and a letter stand for a part.

use std::fmt::Write as _;

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, Timelike as _};
use datafusion::common::exec_err;
use datafusion::error::Result;

/// A two-digit year below it is in this century.
const PIVOT_YEAR: i32 = 70;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A time as the format has it.
pub(super) fn show(time: NaiveDateTime, format: &str) -> Result<String> {
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let Some(letter) = characters.next() else {
            return exec_err!("the format '{format}' ends with a single percent sign");
        };
        show_part(&mut text, time, letter)?;
    }
    Ok(text)
}

fn show_part(text: &mut String, time: NaiveDateTime, letter: char) -> Result<()> {
    let (_, hour) = time.hour12();
    let half = if time.hour() < 12 { "AM" } else { "PM" };
    // Writing to a String cannot fail.
    _ = match letter {
        'a' => write!(text, "{}", time.format("%a")),
        'b' => write!(text, "{}", time.format("%b")),
        'c' => write!(text, "{}", time.month()),
        'd' => write!(text, "{:02}", time.day()),
        'e' => write!(text, "{}", time.day()),
        'f' => write!(
            text,
            "{:06}",
            time.and_utc().timestamp_subsec_millis() * 1_000
        ),
        'H' => write!(text, "{:02}", time.hour()),
        'h' | 'I' => write!(text, "{hour:02}"),
        'i' => write!(text, "{:02}", time.minute()),
        'j' => write!(text, "{:03}", time.ordinal()),
        'k' => write!(text, "{}", time.hour()),
        'l' => write!(text, "{hour}"),
        'M' => write!(text, "{}", time.format("%B")),
        'm' => write!(text, "{:02}", time.month()),
        'p' => write!(text, "{half}"),
        'r' => write!(
            text,
            "{hour:02}:{:02}:{:02} {half}",
            time.minute(),
            time.second()
        ),
        'S' | 's' => write!(text, "{:02}", time.second()),
        'T' => write!(text, "{}", time.format("%H:%M:%S")),
        'v' => write!(text, "{:02}", time.iso_week().week()),
        'W' => write!(text, "{}", time.format("%A")),
        'x' => write!(text, "{:04}", time.iso_week().year()),
        'Y' => write!(text, "{:04}", time.year()),
        'y' => write!(text, "{:02}", time.year().rem_euclid(100)),
        'D' | 'U' | 'u' | 'V' | 'w' | 'X' => return unknown(letter),
        other => write!(text, "{other}"),
    };
    Ok(())
}

fn unknown<T>(letter: char) -> Result<T> {
    exec_err!("%{letter} is no part of a format here, nor in Trino")
}

/// The parts of a time that a text names; the rest is the beginning of 1970.
#[derive(Debug, Clone, Copy)]
struct Parts {
    year: i32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    nanosecond: u32,
    /// Of the year, instead of month and day.
    ordinal: Option<u32>,
    afternoon: Option<bool>,
}

impl Parts {
    fn time(self) -> Option<NaiveDateTime> {
        let date = match self.ordinal {
            Some(ordinal) => NaiveDate::from_yo_opt(self.year, ordinal),
            None => NaiveDate::from_ymd_opt(self.year, self.month, self.day),
        };
        let hour = match self.afternoon {
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
            None => self.hour,
        };
        date?.and_hms_nano_opt(hour, self.minute, self.second, self.nanosecond)
    }
}

/// Reads a text that is written in the format.
pub(super) fn read(text: &str, format: &str) -> Result<NaiveDateTime> {
    let mut parts = Parts {
        year: 1970,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        nanosecond: 0,
        ordinal: None,
        afternoon: None,
    };
    let mut rest = text;
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        let after = match (character, characters.clone().next()) {
            ('%', Some(letter)) => {
                characters.next();
                read_part(&mut parts, rest, letter)?
            }
            _ => rest.strip_prefix(character),
        };
        match after {
            Some(after) => rest = after,
            None => return exec_err!("'{text}' does not follow the format '{format}' at '{rest}'"),
        }
    }
    match parts.time() {
        Some(time) if rest.is_empty() => Ok(time),
        Some(_) => exec_err!("'{text}' goes on behind the format '{format}': '{rest}'"),
        None => exec_err!("'{text}' is no time of the calendar"),
    }
}

/// What is left behind the part; `None` where the text has no such part there.
fn read_part<'a>(parts: &mut Parts, text: &'a str, letter: char) -> Result<Option<&'a str>> {
    let mut number = |digits_max, slot: fn(&mut Parts) -> &mut u32| {
        let (value, rest) = digits(text, digits_max)?;
        *slot(parts) = value;
        Some(rest)
    };
    Ok(match letter {
        'c' | 'm' => number(2, |parts| &mut parts.month),
        'd' | 'e' => number(2, |parts| &mut parts.day),
        'H' | 'k' | 'h' | 'I' | 'l' => number(2, |parts| &mut parts.hour),
        'i' => number(2, |parts| &mut parts.minute),
        'S' | 's' => number(2, |parts| &mut parts.second),
        'j' => number(3, |parts| parts.ordinal.insert(0)),
        'Y' | 'y' => {
            let width = if letter == 'Y' { 4 } else { 2 };
            digits(text, width).and_then(|(value, rest)| {
                let year = i32::try_from(value).ok()?;
                let century = if year < PIVOT_YEAR { 2_000 } else { 1_900 };
                parts.year = if letter == 'Y' { year } else { century + year };
                Some(rest)
            })
        }
        'f' => fraction(text).map(|(nanosecond, rest)| {
            parts.nanosecond = nanosecond;
            rest
        }),
        'p' => [("AM", false), ("PM", true)]
            .into_iter()
            .find_map(|(name, afternoon)| {
                let rest = without_prefix(text, name)?;
                parts.afternoon = Some(afternoon);
                Some(rest)
            }),
        'M' | 'b' => (1..).zip(MONTHS).find_map(|(month, name)| {
            let short = name.get(..3).unwrap_or(name);
            let rest = without_prefix(text, if letter == 'M' { name } else { short })?;
            parts.month = month;
            Some(rest)
        }),
        'T' | 'r' => {
            let mut rest = Some(text);
            let format = if letter == 'T' { "H:i:s" } else { "h:i:s p" };
            for part in format.chars() {
                let Some(left) = rest else { break };
                rest = match part {
                    ':' | ' ' => left.strip_prefix(part),
                    letter => read_part(parts, left, letter)?,
                };
            }
            rest
        }
        '%' => text.strip_prefix('%'),
        _ => return unknown(letter),
    })
}

/// A number of at most so many digits, and what follows it.
fn digits(text: &str, digits_max: usize) -> Option<(u32, &str)> {
    let count = text
        .bytes()
        .take(digits_max)
        .take_while(u8::is_ascii_digit)
        .count();
    let (digits, rest) = text.split_at_checked(count)?;
    Some((digits.parse().ok()?, rest))
}

/// One to nine digits of a fraction, as nanoseconds.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let (_, rest) = digits(text, 9)?;
    let width = text.len() - rest.len();
    let (value, rest) = digits(text, 9)?;
    let missing = u32::try_from(9_usize.checked_sub(width)?).ok()?;
    Some((value * 10_u32.pow(missing), rest))
}

/// The text behind a name in any case.
fn without_prefix<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_shown() {
        let time = "2026-03-07T15:04:05.678".parse().unwrap();
        for (format, expected) in [
            ("%Y-%m-%d %H:%i:%s.%f", "2026-03-07 15:04:05.678000"),
            ("%y %c %e %k %l %j", "26 3 7 15 3 066"),
            ("%a %b, %W %M", "Sat Mar, Saturday March"),
            ("%h %I %p; %r; %T", "03 03 PM; 03:04:05 PM; 15:04:05"),
            ("%x-W%v", "2026-W10"),
            ("100%% %Q", "100% Q"),
        ] {
            assert_eq!(show(time, format).unwrap(), expected, "{format}");
        }
        assert!(show(time, "%w").is_err());
        assert!(show(time, "%").is_err());
    }

    #[test]
    fn what_is_shown_is_read() {
        let read = |text, format| read(text, format).map(|time| time.to_string()).ok();
        for (text, format, expected) in [
            ("2026-03-07", "%Y-%m-%d", "2026-03-07 00:00:00"),
            ("7/3/26 3:04 PM", "%e/%c/%y %l:%i %p", "2026-03-07 15:04:00"),
            ("12:00:00 AM", "%r", "1970-01-01 00:00:00"),
            ("March 7 99", "%M %e %y", "1999-03-07 00:00:00"),
            (
                "07mar2026 150405.25",
                "%d%b%Y %H%i%s.%f",
                "2026-03-07 15:04:05.250",
            ),
            ("2026 066", "%Y %j", "2026-03-07 00:00:00"),
        ] {
            assert_eq!(read(text, format).as_deref(), Some(expected), "{text}");
        }
        for (text, format) in [
            ("2026-03", "%Y-%m-%d"),
            ("2026-03-07x", "%Y-%m-%d"),
            ("2026-02-30", "%Y-%m-%d"),
            ("x", "%w"),
            ("25:00:00", "%T"),
        ] {
            assert_eq!(read(text, format), None, "{text}");
        }
    }
}
