//! The formats of `date_format` and `date_parse`: MySQL's, in which a percent sign and a letter are a
//! part of a time. chrono formats and parses; its letters differ.

use chrono::NaiveDateTime;
use chrono::format::{ParseResult, Parsed, StrftimeItems, parse_and_remainder};
use datafusion::common::exec_err;
use datafusion::error::Result;

/// How chrono formats `%f`; it parses a fraction only of a given number of digits.
const MICROSECONDS: &str = "%6f";

/// Most digits of a fraction that is parsed.
const FRACTION_DIGITS_MAX: usize = 9;

/// A time in a format.
pub(super) fn format_time(time: NaiveDateTime, format: &str) -> Result<String> {
    let format = translated(format)?.join(MICROSECONDS);
    Ok(time.format(&format).to_string())
}

/// Parses a text in a format. Parts that the format lacks are those of 1970-01-01 00:00:00.
pub(super) fn parse_time(text: &str, format: &str) -> Result<NaiveDateTime> {
    match parse_parts(text, &translated(format)?) {
        Ok(time) => Ok(time),
        Err(error) => exec_err!("'{text}' does not match the format '{format}': {error}"),
    }
}

/// A format in chrono's letters, split at each `%f`.
fn translated(format: &str) -> Result<Vec<String>> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            part.push(character);
            continue;
        }
        part.push_str(match characters.next() {
            Some('a') => "%a",
            Some('b') => "%b",
            Some('c') => "%-m",
            Some('d') => "%d",
            Some('e') => "%-d",
            Some('f') => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            Some('H') => "%H",
            Some('h' | 'I') => "%I",
            Some('i') => "%M",
            Some('j') => "%j",
            Some('k') => "%-H",
            Some('l') => "%-I",
            Some('M') => "%B",
            Some('m') => "%m",
            Some('p') => "%p",
            Some('r') => "%I:%M:%S %p",
            Some('S' | 's') => "%S",
            Some('T') => "%H:%M:%S",
            Some('v') => "%V",
            Some('W') => "%A",
            Some('x') => "%G",
            Some('Y') => "%Y",
            Some('y') => "%y",
            Some('%') => "%%",
            Some(letter @ ('D' | 'U' | 'u' | 'V' | 'w' | 'X')) => {
                return exec_err!("%{letter} is not supported in a format, as in Trino");
            }
            // Any other letter is itself.
            Some(letter) => {
                part.push(letter);
                continue;
            }
            None => return exec_err!("the format '{format}' ends with a single percent sign"),
        });
    }
    parts.push(part);
    Ok(parts)
}

/// Parses a text in chrono's formats with a fraction of a second between them.
fn parse_parts(text: &str, formats: &[String]) -> ParseResult<NaiveDateTime> {
    let mut parsed = Parsed::new();
    let mut rest = text;
    for (number, format) in formats.iter().enumerate() {
        if number > 0 {
            rest = fraction(&mut parsed, rest)?;
        }
        rest = parse_and_remainder(&mut parsed, rest, StrftimeItems::new(format))?;
    }
    // Nothing may follow the last format.
    chrono::format::parse(&mut parsed, rest, StrftimeItems::new(""))?;
    if parsed.year().is_none() && parsed.year_mod_100().is_none() {
        parsed.set_year(1970)?;
    }
    if parsed.ordinal().is_none() {
        parsed.set_month(i64::from(parsed.month().unwrap_or(1)))?;
        parsed.set_day(i64::from(parsed.day().unwrap_or(1)))?;
    }
    match (parsed.hour_div_12(), parsed.hour_mod_12()) {
        (None, None) => parsed.set_hour(0)?,
        (None, Some(_)) => parsed.set_ampm(false)?,
        (Some(_), None) => parsed.set_hour12(12)?,
        (Some(_), Some(_)) => {}
    };
    parsed.set_minute(i64::from(parsed.minute().unwrap_or(0)))?;
    parsed.set_second(i64::from(parsed.second().unwrap_or(0)))?;
    parsed.to_naive_datetime_with_offset(0)
}

/// Reads the digits of a fraction, and returns the text after them.
fn fraction<'a>(parsed: &mut Parsed, text: &'a str) -> ParseResult<&'a str> {
    let digits = text.bytes().take(FRACTION_DIGITS_MAX);
    let count = digits.take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(count).unwrap_or((text, ""));
    let nanoseconds = match digits.is_empty() {
        // chrono's error.
        true => String::new(),
        false => format!("{digits:0<FRACTION_DIGITS_MAX$}"),
    };
    chrono::format::parse(parsed, &nanoseconds, StrftimeItems::new("%9f"))?;
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_formatted() {
        let time = "2026-03-07T15:04:05.678".parse().unwrap();
        for (format, expected) in [
            ("%Y-%m-%d %H:%i:%s.%f", "2026-03-07 15:04:05.678000"),
            ("%y %c %e %k %l %j", "26 3 7 15 3 066"),
            ("%a %b, %W %M", "Sat Mar, Saturday March"),
            ("%h %I %p; %r; %T", "03 03 PM; 03:04:05 PM; 15:04:05"),
            ("%x-W%v", "2026-W10"),
            ("100%% %Q", "100% Q"),
        ] {
            assert_eq!(format_time(time, format).unwrap(), expected, "{format}");
        }
        assert!(format_time(time, "%w").is_err());
        assert!(format_time(time, "%").is_err());
    }

    #[test]
    fn what_is_formatted_is_parsed() {
        let read = |text, format| parse_time(text, format).map(|time| time.to_string()).ok();
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
            ("15:04:05,123", "%T,%f", "1970-01-01 15:04:05.123"),
            ("12:30", "%h:%i", "1970-01-01 00:30:00"),
            ("100% 7", "100%% %e", "1970-01-07 00:00:00"),
        ] {
            assert_eq!(read(text, format).as_deref(), Some(expected), "{text}");
        }
        for (text, format) in [
            ("2026-03", "%Y-%m-%d"),
            ("2026-03-07x", "%Y-%m-%d"),
            ("2026-02-30", "%Y-%m-%d"),
            ("x", "%w"),
            ("25:00:00", "%T"),
            ("15:04:05", "%H:%i:%s.%f"),
        ] {
            assert_eq!(read(text, format), None, "{text}");
        }
    }
}
