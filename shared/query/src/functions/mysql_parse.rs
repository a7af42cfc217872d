//! `date_parse`: a text in MySQL's format, as Athena's library (Joda-Time) reads it. Numbers have no blanks in front of
//! them, and what is not a part of the time is there exactly.

use chrono::{Datelike as _, NaiveDate, NaiveDateTime};
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::mysql_format::NOT_IN_TRINO;

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
const HALVES: [&str; 2] = ["AM", "PM"];
const ABBREVIATED: usize = 3;

/// The year of a day without one, and that of a time of day.
const YEAR_OF_DAYS: u32 = 2000;
const YEAR_OF_TIMES: u32 = 1970;

/// Years of two digits are from here on.
const YEARS_FROM: u32 = 1970;

/// Most digits of a fraction.
const FRACTION_DIGITS_MAX: usize = 9;

/// Parses a text in a format. Parts that the format lacks are those of 1970-01-01 00:00:00, or of 2000 for a day.
pub(super) fn parse_time(text: &str, format: &str) -> Result<NaiveDateTime> {
    if format.is_empty() {
        return exec_err!("the format is empty");
    }
    let mut reader = Reader {
        rest: text,
        parts: Parts::default(),
    };
    if reader.read(format)?.is_some()
        && reader.rest.is_empty()
        && let Some(time) = reader.parts.time()
    {
        return Ok(time);
    }
    exec_err!("'{text}' does not match the format '{format}'")
}

#[derive(Default)]
struct Parts {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    ordinal: Option<u32>,
    hour: Option<u32>,
    hour_of_half: Option<u32>,
    half: Option<u32>,
    minute: Option<u32>,
    second: Option<u32>,
    nanosecond: Option<u32>,
}

impl Parts {
    /// `None` if there is no such time, or two parts contradict each other.
    fn time(self) -> Option<NaiveDateTime> {
        let has_day = self.month.is_some() || self.day.is_some() || self.ordinal.is_some();
        let without = if has_day { YEAR_OF_DAYS } else { YEAR_OF_TIMES };
        let year = i32::try_from(self.year.unwrap_or(without)).ok()?;
        let day = match self.ordinal {
            Some(ordinal) => NaiveDate::from_yo_opt(year, ordinal)?,
            None => NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.unwrap_or(1))?,
        };
        let fits = |part: Option<u32>, is: u32| part.is_none_or(|part| part == is);
        if !fits(self.month, day.month()) || !fits(self.day, day.day()) {
            return None;
        }
        let of_half = match self.hour_of_half {
            Some(hour @ 1..=12) => Some(hour % 12),
            Some(_) => return None,
            None => None,
        };
        let hour = match (self.hour, of_half, self.half) {
            (Some(hour), of_half, half) => {
                (fits(of_half, hour % 12) && fits(half, hour / 12)).then_some(hour)?
            }
            (None, of_half, half) => half.unwrap_or(0) * 12 + of_half.unwrap_or(0),
        };
        day.and_hms_nano_opt(
            hour,
            self.minute.unwrap_or(0),
            self.second.unwrap_or(0),
            self.nanosecond.unwrap_or(0),
        )
    }
}

struct Reader<'a> {
    rest: &'a str,
    parts: Parts,
}

impl Reader<'_> {
    /// `None` if the text is another one.
    fn read(&mut self, format: &str) -> Result<Option<()>> {
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            let read = match character {
                '%' => match characters.next() {
                    Some(letter) => self.part(letter)?,
                    None => {
                        return exec_err!("the format '{format}' ends with a single percent sign");
                    }
                },
                character => self.literal(character),
            };
            if read.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    fn part(&mut self, letter: char) -> Result<Option<()>> {
        Ok(match letter {
            'Y' => self.number(4).and_then(|it| set(&mut self.parts.year, it)),
            'y' => self
                .two_digits()
                .and_then(|it| set(&mut self.parts.year, it)),
            'c' | 'm' => self.number(2).and_then(|it| set(&mut self.parts.month, it)),
            'b' | 'M' => self
                .name(&MONTHS)
                .and_then(|it| set(&mut self.parts.month, it + 1)),
            'd' | 'e' => self.number(2).and_then(|it| set(&mut self.parts.day, it)),
            'j' => self
                .number(3)
                .and_then(|it| set(&mut self.parts.ordinal, it)),
            'H' | 'k' => self.number(2).and_then(|it| set(&mut self.parts.hour, it)),
            'h' | 'I' | 'l' => self
                .number(2)
                .and_then(|it| set(&mut self.parts.hour_of_half, it)),
            'p' => self
                .name(&HALVES)
                .and_then(|it| set(&mut self.parts.half, it)),
            'i' => self
                .number(2)
                .and_then(|it| set(&mut self.parts.minute, it)),
            'S' | 's' => self
                .number(2)
                .and_then(|it| set(&mut self.parts.second, it)),
            'f' => self.fraction(),
            'r' => self.read("%I:%i:%s %p")?,
            'T' => self.read("%H:%i:%s")?,
            '%' => self.literal('%'),
            letter if NOT_IN_TRINO.contains(&letter) => {
                return exec_err!("%{letter} is not supported in a format, as in Trino");
            }
            'a' | 'W' | 'v' | 'x' => {
                return exec_err!(
                    "date_parse of weeks and their days, %{letter}, is not on this engine: leave it out with substr"
                );
            }
            // Any other letter is itself.
            letter => self.literal(letter),
        })
    }

    fn literal(&mut self, character: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(character)?;
        Some(())
    }

    /// At least one digit, and at most so many.
    fn number(&mut self, digits_max: usize) -> Option<u32> {
        let digits = self.rest.bytes().take(digits_max);
        let count = digits.take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        digits.parse().ok()
    }

    /// A year.
    fn two_digits(&mut self) -> Option<u32> {
        let before = self.rest.len();
        let year = self.number(2)?;
        let of_1900 = 1900 + year;
        (before - self.rest.len() == 2).then_some(match of_1900 < YEARS_FROM {
            true => of_1900 + 100,
            false => of_1900,
        })
    }

    fn fraction(&mut self) -> Option<()> {
        let digits = self.rest.bytes().take(FRACTION_DIGITS_MAX);
        let count = digits.take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at_checked(count)?;
        if digits.is_empty() {
            return None;
        }
        self.rest = rest;
        let nanoseconds = format!("{digits:0<FRACTION_DIGITS_MAX$}").parse().ok()?;
        set(&mut self.parts.nanosecond, nanoseconds)
    }

    /// The place of a name, in full or abbreviated, as it is written or in small or capital letters.
    fn name(&mut self, names: &[&str]) -> Option<u32> {
        let forms = |name: &str| [name.to_owned(), name.to_lowercase(), name.to_uppercase()];
        for length in [usize::MAX, ABBREVIATED] {
            for (place, name) in names.iter().enumerate() {
                let name = name.get(..length.min(name.len())).unwrap_or(name);
                let rest = forms(name)
                    .iter()
                    .find_map(|form| self.rest.strip_prefix(form.as_str()));
                if let Some(rest) = rest {
                    self.rest = rest;
                    return u32::try_from(place).ok();
                }
            }
        }
        None
    }
}

/// `None` if the part is another one already.
fn set(part: &mut Option<u32>, value: u32) -> Option<()> {
    (*part.get_or_insert(value) == value).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("100% 7", "100%% %e", "2000-01-07 00:00:00"),
            ("02-29", "%m-%d", "2000-02-29 00:00:00"),
            ("60", "%j", "2000-02-29 00:00:00"),
            ("2026-03-07 1:2", "%Y-%m-%d %H:%i", "2026-03-07 01:02:00"),
            ("26-3-7", "%y-%c-%e", "2026-03-07 00:00:00"),
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
            ("2026-03-0710:00", "%Y-%m-%d %H:%i"),
            (" 2026-03-07", "%Y-%m-%d"),
            ("2026- 3-07", "%Y-%m-%d"),
            ("2026-03-07", " %Y-%m-%d "),
            ("10:05:60", "%T"),
            ("0:30", "%h:%i"),
            ("mAr", "%b"),
            ("126-03-07", "%y-%m-%d"),
            ("", ""),
        ] {
            assert_eq!(read(text, format), None, "{text}");
        }
    }
}
