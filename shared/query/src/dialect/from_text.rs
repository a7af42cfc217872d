//! Texts as values of a type, in the forms that Athena reads.

use chrono::{Datelike as _, NaiveDateTime, TimeDelta};
use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::array_function::{ArrayFunction, first};
use super::moments::{Moment, day};
use super::types::{self, is_utc};
use crate::functions::spaces;
use crate::functions::timestamps::YEARS;
use crate::result_columns::type_name;

/// A cast from varchar, which with `is_try` is NULL where it fails.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FromText {
    pub(super) to: DataType,
    pub(super) is_try: bool,
}

impl ArrayFunction for FromText {
    fn name(&self) -> &'static str {
        "cast_from_varchar"
    }

    fn returns(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let texts = cast(first(arrays)?, &DataType::Utf8)?;
        let mut canonical = Vec::with_capacity(texts.len());
        for text in texts.as_string::<i32>() {
            canonical.push(
                match (
                    text,
                    text.map(|it| canonical_text(it, &self.to))
                        .transpose()?
                        .flatten(),
                ) {
                    (Some(text), None) if !self.is_try => {
                        return exec_err!(
                            "'{text}' cannot be cast to {}: try_cast returns NULL instead",
                            type_name(&self.to)
                        );
                    }
                    (_, canonical) => canonical,
                },
            );
        }
        let options = CastOptions {
            safe: self.is_try,
            ..CastOptions::default()
        };
        let canonical = StringArray::from(canonical);
        Ok(cast_with_options(&canonical, &self.to, &options)?)
    }
}

/// The text in the form that the engine reads; `None` if Athena does not take it, and an error if only Athena does.
fn canonical_text(text: &str, to: &DataType) -> Result<Option<String>> {
    let here_only = || {
        exec_err!(
            "a cast of '{text}' to {} may be on Athena, but not on this engine: write it in ASCII digits without an exponent, and a time in UTC without a sign",
            type_name(to)
        )
    };
    let has_sign = || spaces::trimmed(text).starts_with(['-', '+']);
    let has_other_digits = || {
        text.chars()
            .any(|char| !char.is_ascii() && char.is_numeric())
    };
    Ok(match to {
        DataType::Boolean => match text.to_lowercase().as_str() {
            "t" | "true" | "1" => Some("true".to_owned()),
            "f" | "false" | "0" => Some("false".to_owned()),
            _ => None,
        },
        DataType::Date32 | DataType::Timestamp(..) if has_sign() => return here_only(),
        DataType::Date32 => match day(spaces::trimmed(text)) {
            Some(day) if !YEARS.contains(&day.year()) => return here_only(),
            day => day.map(|day| day.to_string()),
        },
        DataType::Timestamp(unit, _) => {
            let text = spaces::trimmed(text);
            let fraction = text.split_once('.').map_or(0, |(_, digits)| digits.len());
            if *unit == TimeUnit::Second && fraction > ROUNDED_DIGITS_MAX {
                return here_only();
            }
            let Some(moment) = Moment::parse(text) else {
                let may_have_zone = |(of_day, rest): (&str, &str)| {
                    day(of_day).is_some()
                        && rest.contains(|char: char| char.is_alphabetic() || "+-".contains(char))
                };
                return match text.split_once(' ').is_some_and(may_have_zone) {
                    true => here_only(),
                    false => Ok(None),
                };
            };
            let (local, own_zone) = moment.local();
            if !YEARS.contains(&local.year()) {
                return here_only();
            }
            // On Athena each value keeps the zone of its text, but here a column has one zone. A cast to timestamp without
            // zone depends on the zone's rules, since clocks skip hours.
            if own_zone.as_deref().is_some_and(|own| !is_utc(own)) {
                return here_only();
            }
            rounded(local, *unit)
        }
        DataType::Float64 => {
            let text = java_trimmed(text);
            let digits = text.trim_start_matches(['-', '+']);
            if digits.starts_with("0x") || digits.starts_with("0X") {
                return here_only();
            }
            // The suffix of Java's literals.
            let plain = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
            let is_number = plain
                .bytes()
                .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
                && plain.parse::<f64>().is_ok();
            match text {
                "+NaN" | "-NaN" => Some("NaN".to_owned()),
                "NaN" | "Infinity" | "-Infinity" | "+Infinity" => {
                    Some(text.replace("Infinity", "inf"))
                }
                _ => is_number.then(|| plain.to_owned()),
            }
        }
        _ if has_other_digits() && types::is_number(to) => return here_only(),
        DataType::Decimal128(..) => {
            let is_of = |others: &[u8]| {
                let mut bytes = text.bytes();
                bytes.all(|b| b.is_ascii_digit() || others.contains(&b))
            };
            if !is_of(b"+-.") && is_of(b"+-.eE") {
                return here_only();
            }
            is_of(b"+-.").then(|| text.to_owned())
        }
        to if types::is_integer(to) => {
            let text = java_trimmed(text);
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| text.strip_prefix('+').unwrap_or(text).to_owned())
        }
        _ => Some(text.to_owned()),
    })
}

/// The most fractional digits that Athena accepts in a cast to timestamp(0).
const ROUNDED_DIGITS_MAX: usize = 12;

/// Without what Java's `trim` takes away.
fn java_trimmed(text: &str) -> &str {
    text.trim_matches(|char| char <= ' ')
}

/// To the digits of the type, half up.
fn rounded(local: NaiveDateTime, unit: TimeUnit) -> Option<String> {
    let (half_ns, format) = match unit {
        TimeUnit::Second => (500_000_000, "%Y-%m-%dT%H:%M:%S"),
        TimeUnit::Millisecond => (500_000, "%Y-%m-%dT%H:%M:%S%.3f"),
        TimeUnit::Microsecond | TimeUnit::Nanosecond => return None,
    };
    let rounded = local.checked_add_signed(TimeDelta::nanoseconds(half_ns))?;
    Some(rounded.format(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_on_athena() {
        let read = |text, to: DataType| canonical_text(text, &to).unwrap();
        assert_eq!(read("T", DataType::Boolean).as_deref(), Some("true"));
        assert_eq!(read("yes", DataType::Boolean), None);
        assert_eq!(
            read("2026-3-7", DataType::Date32).as_deref(),
            Some("2026-03-07")
        );
        assert_eq!(
            read(" 2026-03-07\t", DataType::Date32).as_deref(),
            Some("2026-03-07")
        );
        assert_eq!(
            read("-1.50", DataType::Decimal128(3, 2)).as_deref(),
            Some("-1.50")
        );
        assert_eq!(read("x", DataType::Decimal128(3, 2)), None);
        assert_eq!(read("7d", DataType::Float64).as_deref(), Some("7"));
        assert_eq!(read("d", DataType::Float64), None);
        assert_eq!(read("Infinityd", DataType::Float64), None);
        assert_eq!(read(" 1\n", DataType::Int64).as_deref(), Some("1"));
        assert_eq!(read("1 0", DataType::Int64), None);
        assert_eq!(
            read("-Infinity", DataType::Float64).as_deref(),
            Some("-inf")
        );
    }

    #[test]
    fn digits_that_a_type_has_not_are_rounded() {
        for (text, unit, expected) in [
            ("10:00:00.123789", TimeUnit::Millisecond, "10:00:00.124"),
            ("10:00:00.123499999", TimeUnit::Millisecond, "10:00:00.123"),
            ("23:59:59.5", TimeUnit::Second, "00:00:00"),
            ("10:00:00.499", TimeUnit::Second, "10:00:00"),
        ] {
            let read = canonical_text(
                &format!("2026-03-07 {text}"),
                &DataType::Timestamp(unit, None),
            );
            let read = read.unwrap().unwrap();
            assert_eq!(read.split_once('T').unwrap().1, expected, "{text}");
        }
    }

    #[test]
    fn what_only_athena_reads_is_an_error() {
        let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
        for (text, to) in [
            ("0x1p3", DataType::Float64),
            ("٣", DataType::Int64),
            ("-2026-03-07", DataType::Date32),
            ("+2026-03-07", DataType::Date32),
            ("1e2", DataType::Decimal128(3, 0)),
            ("2026-03-07 10:00:00 Asia/Tokyo", utc.clone()),
            ("2026-03-07 10:00:00 Etc/GMT+5", utc),
        ] {
            assert!(canonical_text(text, &to).is_err(), "{text}");
        }
    }
}
