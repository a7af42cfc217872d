//! `date_parse`: a text in MySQL's format, as Athena's library (Joda-Time) reads it: numbers have no blanks in front of them,
//! and what is not a part of the time is there exactly.

use chrono::{NaiveDate, NaiveDateTime};
use datafusion::common::exec_err;
use datafusion::error::Result;

/// Years of two digits are from here on.
const YEARS_FROM: u32 = 1970;

/// Most digits of a fraction.
const FRACTION_DIGITS_MAX: usize = 9;

/// Parses a text in a format that has a year.
pub(super) fn parse_time(text: &str, format: &str) -> Result<NaiveDateTime> {
    let mut parts = Parts::default();
    let Some(rest) = parts.read(text, format)? else {
        return exec_err!("'{text}' does not match the format '{format}'");
    };
    if parts.year.is_none() {
        return exec_err!(
            "on this engine, the format of date_parse has a year, %Y: not '{format}'"
        );
    }
    match parts.time().filter(|_| rest.is_empty()) {
        Some(time) => Ok(time),
        None => exec_err!("'{text}' does not match the format '{format}'"),
    }
}

#[derive(Default)]
struct Parts {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    hour: Option<u32>,
    minute: Option<u32>,
    second: Option<u32>,
    nanosecond: Option<u32>,
}

impl Parts {
    /// `None` if there is no such time.
    fn time(self) -> Option<NaiveDateTime> {
        let year = i32::try_from(self.year?).ok()?;
        let day = NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.unwrap_or(1))?;
        day.and_hms_nano_opt(
            self.hour.unwrap_or(0),
            self.minute.unwrap_or(0),
            self.second.unwrap_or(0),
            self.nanosecond.unwrap_or(0),
        )
    }

    /// Reads the parts of a format, and returns the rest of the text; `None` if the text does not match.
    fn read<'a>(&mut self, text: &'a str, format: &str) -> Result<Option<&'a str>> {
        let mut rest = Some(text);
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            let letter = match character {
                '%' => characters.next(),
                other => {
                    rest = rest.and_then(|rest| rest.strip_prefix(other));
                    continue;
                }
            };
            let (part, digits_max) = match letter {
                Some('T') => {
                    rest = match rest {
                        Some(rest) => self.read(rest, "%H:%i:%s")?,
                        None => None,
                    };
                    continue;
                }
                Some('%') => {
                    rest = rest.and_then(|rest| rest.strip_prefix('%'));
                    continue;
                }
                Some('Y') => (&mut self.year, 4),
                Some('y') => (&mut self.year, 2),
                Some('c' | 'm') => (&mut self.month, 2),
                Some('d' | 'e') => (&mut self.day, 2),
                Some('H' | 'k') => (&mut self.hour, 2),
                Some('i') => (&mut self.minute, 2),
                Some('S' | 's') => (&mut self.second, 2),
                Some('f') => (&mut self.nanosecond, FRACTION_DIGITS_MAX),
                _ => {
                    return exec_err!(
                        "on this engine, date_parse takes %Y, %y, %m, %c, %d, %e, %H, %k, %i, %s, %S, %f, %T and %%: not all of '{format}'"
                    );
                }
            };
            if part.is_some() {
                return exec_err!("'{format}' has a part of the time twice: leave one out");
            }
            rest = rest.and_then(|rest| {
                let (digits, rest) = leading_digits(rest, digits_max)?;
                *part = Some(match letter {
                    Some('y') => of_two_digits(digits)?,
                    Some('f') => format!("{digits:0<FRACTION_DIGITS_MAX$}").parse().ok()?,
                    _ => digits.parse().ok()?,
                });
                Some(rest)
            });
        }
        Ok(rest)
    }
}

/// At least one digit and at most so many, and the rest.
fn leading_digits(text: &str, digits_max: usize) -> Option<(&str, &str)> {
    let digits = text.bytes().take(digits_max);
    let count = digits.take_while(u8::is_ascii_digit).count();
    text.split_at_checked(count).filter(|_| count > 0)
}

fn of_two_digits(digits: &str) -> Option<u32> {
    let of_1900 = 1900 + digits.parse::<u32>().ok()?;
    (digits.len() == 2).then_some(match of_1900 < YEARS_FROM {
        true => of_1900 + 100,
        false => of_1900,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_formatted_is_parsed() {
        let read = |text, format| parse_time(text, format).map(|time| time.to_string()).ok();
        for (text, format, expected) in [
            ("2026-03-07", "%Y-%m-%d", "2026-03-07 00:00:00"),
            ("7/3/26 15:04", "%e/%c/%y %k:%i", "2026-03-07 15:04:00"),
            (
                "20260307 150405.25",
                "%Y%m%d %H%i%s.%f",
                "2026-03-07 15:04:05.250",
            ),
            ("99 15:04:05", "%y %T", "1999-01-01 15:04:05"),
            ("100% 2026", "100%% %Y", "2026-01-01 00:00:00"),
            ("2026-03-07 1:2", "%Y-%m-%d %H:%i", "2026-03-07 01:02:00"),
        ] {
            assert_eq!(read(text, format).as_deref(), Some(expected), "{text}");
        }
        for (text, format) in [
            ("2026-03", "%Y-%m-%d"),
            ("2026-03-07x", "%Y-%m-%d"),
            ("2026-02-30", "%Y-%m-%d"),
            ("2026 x", "%Y %w"),
            ("2026 25:00:00", "%Y %T"),
            ("2026 15:04:05", "%Y %H:%i:%s.%f"),
            ("2026-03-0710:00", "%Y-%m-%d %H:%i"),
            (" 2026-03-07", "%Y-%m-%d"),
            ("2026- 3-07", "%Y-%m-%d"),
            ("2026-03-07", " %Y-%m-%d "),
            ("2026 10:05:60", "%Y %T"),
            ("126-03-07", "%y-%m-%d"),
            ("03-07", "%m-%d"),
            ("2026 26", "%Y %y"),
            ("2026 3 PM", "%Y %h %p"),
            ("2026 Mar", "%Y %b"),
            ("2026", "%Y%"),
            ("", ""),
        ] {
            assert_eq!(read(text, format), None, "{text}");
        }
    }
}
