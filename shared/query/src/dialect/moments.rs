//! Literals with the name of a type: `TIMESTAMP '2026-03-07 10:00:00'`, `BIGINT '42'`.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _};
use datafusion::arrow::array::timezone::Tz;
use datafusion::sql::sqlparser::ast::{
    DataType, ExactNumberInfo, Expr, TimezoneInfo, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::ast_builder::{call, typed};
use super::refusal::{here_only, invalid};
use super::type_names;
use crate::error::SqlError;
use crate::functions::spaces;
use crate::functions::zone_names::zone_name;

/// The literal as an expression of the engine.
pub(super) fn typed_literal(
    data_type: &DataType,
    text: String,
    span: Span,
) -> Result<Expr, SqlError> {
    let invalid = || {
        let data_type = data_type.to_string().to_lowercase();
        invalid(format!("'{text}' is not a {data_type}"), span)
    };
    match data_type {
        DataType::Timestamp(_, _) => {
            let is_plain = !text.starts_with(|char: char| char.is_whitespace());
            let moment = Moment::parse(&text)
                .filter(|_| is_plain)
                .ok_or_else(invalid)?;
            // The digits are those of the type, and functions have milliseconds.
            if !matches!(moment.digits, 0 | 3) {
                return Err(here_only(
                    &format!("a timestamp with {} digits of a second", moment.digits),
                    "write 3 of them",
                    span,
                ));
            }
            moment.expression().ok_or_else(invalid)
        }
        DataType::Time(..) => {
            let (time, digits) = time_of_day(&text).ok_or_else(invalid)?;
            // Athena has a type for each number of digits, and the engine has one.
            if digits > 0 {
                let instead = "write whole seconds";
                return Err(here_only(
                    "a time of day with parts of a second",
                    instead,
                    span,
                ));
            }
            let text = time.format("%H:%M:%S").to_string();
            Ok(typed(&text, type_names::planned(data_type)))
        }
        DataType::Date => {
            let day = day(&text).ok_or_else(invalid)?;
            Ok(typed(&day.to_string(), DataType::Date))
        }
        // With as many digits as it has.
        DataType::Decimal(ExactNumberInfo::None) if text.contains('.') => {
            let (sign, digits) = text.split_at(text.len() - text.trim_start_matches('-').len());
            let number = Expr::value(Value::Number(digits.to_owned(), false));
            Ok(match sign {
                "" => number,
                _ => Expr::Nested(Box::new(Expr::UnaryOp {
                    op: UnaryOperator::Minus,
                    expr: Box::new(number),
                })),
            })
        }
        DataType::Decimal(ExactNumberInfo::None) => {
            let digits = text.trim_start_matches(['-', '0']).len().max(1) as u64;
            Ok(typed(
                &text,
                DataType::Decimal(ExactNumberInfo::PrecisionAndScale(digits, 0)),
            ))
        }
        other => Ok(typed(&text, type_names::planned(other))),
    }
}

/// Fewest digits of the year of a timestamp, and most of the fraction of its second.
const YEAR_DIGITS_MIN: usize = 4;
const FRACTION_DIGITS_MAX: usize = 15;

/// A date and time of day as it is written, perhaps with a zone.
#[derive(Debug, PartialEq)]
pub(crate) struct Moment {
    day: NaiveDate,
    time: NaiveTime,
    /// The digits of the second's fraction.
    digits: usize,
    zone: Option<String>,
}

impl Moment {
    /// `None` if Athena does not read the text as a timestamp.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = spaces::trimmed(text).splitn(3, ' ');
        let of_day = parts.next()?;
        let day = day(of_day).filter(|_| of_day.find('-') >= Some(YEAR_DIGITS_MIN))?;
        let (mut time, mut digits, mut zone) = (NaiveTime::MIN, 0, None);
        for part in parts {
            if zone.is_some() {
                return None;
            }
            match time_of_day(part) {
                Some((at, count)) => (time, digits) = (at, count),
                None => {
                    let (at, rest) = split_zone(part)?;
                    if let Some(at) = at {
                        (time, digits) = time_of_day(at)?;
                    }
                    zone = Some(rest);
                }
            }
        }
        Some(Self {
            day,
            time,
            digits,
            zone,
        })
    }

    /// The moment without its zone, and the zone.
    pub(crate) fn local(self) -> (NaiveDateTime, Option<String>) {
        (self.day.and_time(self.time), self.zone)
    }

    fn expression(self) -> Option<Expr> {
        let unit = u64::try_from(self.digits).ok()?;
        let local = self.day.and_time(self.time);
        let Some(zone) = self.zone else {
            let text = local.format("%Y-%m-%d %H:%M:%S%.f").to_string();
            return Some(typed(
                &text,
                DataType::Timestamp(Some(unit), TimezoneInfo::None),
            ));
        };
        let zone_of: Tz = zone.parse().ok()?;
        let moment = zone_of.from_local_datetime(&local).earliest()?;
        let text = moment
            .naive_utc()
            .format("%Y-%m-%d %H:%M:%S%.f")
            .to_string();
        let utc = typed(&text, DataType::Timestamp(Some(unit), TimezoneInfo::None));
        let name = Expr::value(Value::SingleQuotedString(zone));
        Some(call("at_timezone", vec![utc, name]))
    }
}

/// `2026-3-7`, with or without leading zeros.
pub(crate) fn day(text: &str) -> Option<NaiveDate> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let (year, month, day) = (number(year)?, short(month)?, short(day)?);
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)
}

/// `10:05`, `10:05:09` or `10:05:09.123`, and the digits of the fraction.
fn time_of_day(text: &str) -> Option<(NaiveTime, usize)> {
    let mut numbers = text.splitn(3, ':');
    let (hour, minute) = (short(numbers.next()?)?, short(numbers.next()?)?);
    let (second, fraction) = match numbers.next().map(|rest| (rest, rest.split_once('.'))) {
        None => (0, ""),
        Some((rest, None)) => (short(rest)?, ""),
        Some((_, Some((second, fraction)))) => {
            let is_fraction = (1..=FRACTION_DIGITS_MAX).contains(&fraction.len())
                && fraction.bytes().all(|b| b.is_ascii_digit());
            (short(second)?, is_fraction.then_some(fraction)?)
        }
    };
    // chrono has no more digits.
    let nanos = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some((
        NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)?,
        fraction.len(),
    ))
}

/// A number of one or two digits.
fn short(digits: &str) -> Option<u32> {
    number(digits).filter(|_| digits.len() <= 2)
}

fn number(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// A time of day that its zone follows without a blank, or a zone alone.
fn split_zone(text: &str) -> Option<(Option<&str>, String)> {
    if let Some(zone) = zone_name(text) {
        return Some((None, zone));
    }
    let at = text.find(['+', '-', 'Z'])?;
    let (time, zone) = text.split_at_checked(at)?;
    let zone = if zone == "Z" { "UTC" } else { zone };
    Some((Some(time), zone_name(zone)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_athena_reads_it() {
        let parsed = |text: &str| {
            let moment = Moment::parse(text)?;
            let digits = moment.digits;
            let (local, zone) = moment.local();
            Some((local.to_string(), digits, zone))
        };
        let at = |text: &str, digits, zone: Option<&str>| {
            Some((text.to_owned(), digits, zone.map(str::to_owned)))
        };
        assert_eq!(parsed("2026-03-07"), at("2026-03-07 00:00:00", 0, None));
        assert_eq!(parsed("2026-3-7 1:05"), at("2026-03-07 01:05:00", 0, None));
        assert_eq!(
            parsed("2026-03-07 10:00:00.5"),
            at("2026-03-07 10:00:00.500", 1, None)
        );
        let zone = Some("America/New_York");
        assert_eq!(
            parsed("2026-03-07 10:00:00 America/New_York"),
            at("2026-03-07 10:00:00", 0, zone)
        );
        assert_eq!(
            parsed("2026-03-07 10:00:00 +09:00"),
            at("2026-03-07 10:00:00", 0, Some("+09:00"))
        );
        assert_eq!(
            parsed("2026-03-07 10:00:00+09:00"),
            at("2026-03-07 10:00:00", 0, Some("+09:00"))
        );
        for text in [
            "2026-03-07T10:00:00",
            "07.03.2026",
            "2026-13-01",
            "2026-03-07 10",
            "2026-003-07",
            "26-03-07 10:00:00",
            "2026-03-07 010:00",
            "2026-03-07 10:00:00.",
            "2026-03-07 10:00.5",
            "2026-03-07 10:00:00.12345678901234567",
            "2026-03-07 x",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
