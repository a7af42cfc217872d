//! Converts timestamps from and to numbers and texts.

use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime};
use datafusion::arrow::array::{
    ArrayRef, AsArray as _, Date32Array, Float64Array, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, Float64Type, TimestampMillisecondType};
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::arg_type::{ArgType, UTC, moment, timestamp};
use super::scalar_function::{Returns, Scalar, argument};
use super::{mysql_format, mysql_parse};
use crate::dialect::types::is_utc;

/// Beyond year 9999 a time has a sign and more digits, which not every function of Athena writes alike.
pub(crate) const YEARS: RangeInclusive<i32> = 1..=9999;

/// Most digits of a fraction of a second.
const FRACTION_DIGITS_MAX: usize = 9;

pub(super) fn functions() -> Vec<Scalar> {
    let text = || Returns::Type(DataType::Utf8);
    vec![
        Scalar::new(
            "from_unixtime",
            &[&[ArgType::Double]],
            Returns::Type(moment()),
            from_unixtime,
        ),
        Scalar::new(
            "to_unixtime",
            &[&[ArgType::Time]],
            Returns::Type(DataType::Float64),
            to_unixtime,
        ),
        Scalar::new(
            "from_iso8601_timestamp",
            &[&[ArgType::Text]],
            Returns::Type(moment()),
            from_iso8601_timestamp,
        ),
        Scalar::new(
            "from_iso8601_date",
            &[&[ArgType::Text]],
            Returns::Type(DataType::Date32),
            from_iso8601_date,
        ),
        Scalar::new(
            "date_format",
            &[&[ArgType::Time, ArgType::Text]],
            text(),
            date_format,
        ),
        Scalar::new(
            "date_parse",
            &[&[ArgType::Text, ArgType::Text]],
            Returns::Type(timestamp()),
            date_parse,
        ),
    ]
}

fn from_unixtime(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let mut moments = Vec::new();
    for seconds in argument(arguments, 0)?.as_primitive::<Float64Type>() {
        let Some(seconds) = seconds else {
            moments.push(None);
            continue;
        };
        #[expect(clippy::cast_possible_truncation, reason = "years are checked")]
        let ms = half_up(seconds * 1_000.0) as i64;
        if civil(ms).is_err() || seconds.is_nan() {
            return exec_err!(
                "from_unixtime takes seconds, of the years 1 to 9999, not {seconds:.0}: divide milliseconds by 1e3"
            );
        }
        moments.push(Some(ms));
    }
    Ok(Arc::new(
        TimestampMillisecondArray::from(moments).with_timezone(UTC),
    ))
}

/// Half up, also below 0.
fn half_up(number: f64) -> f64 {
    if number.fract() == -0.5 {
        number.trunc()
    } else {
        number.round()
    }
}

fn to_unixtime(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    #[expect(clippy::cast_precision_loss, reason = "Trino returns a double")]
    let seconds = |ms: i64| ms as f64 / 1_000.0;
    let seconds: Float64Array = epoch_ms(argument(arguments, 0)?)?.unary(seconds);
    Ok(Arc::new(seconds))
}

/// Moments and dates as milliseconds since the epoch.
pub(crate) fn epoch_ms(times: &ArrayRef) -> Result<TimestampMillisecondArray> {
    let times = cast(times, &timestamp())?;
    Ok(times.as_primitive::<TimestampMillisecondType>().clone())
}

/// The date and time of day of a moment, in UTC.
pub(crate) fn civil(ms: i64) -> Result<NaiveDateTime> {
    match DateTime::from_timestamp_millis(ms) {
        Some(moment) if YEARS.contains(&moment.year()) => Ok(moment.naive_utc()),
        _ => exec_err!(
            "a time is {ms} ms after 1970, and this engine has the years 1 to 9999: leave it out with WHERE"
        ),
    }
}

/// The years in which both engines have the same rules for zones, and all offsets are whole minutes. The engines use
/// different sources for earlier years, and this one has no daylight saving time from 2100 on.
const ZONE_YEARS: RangeInclusive<i32> = 1973..=2099;

/// As [`civil`], but an error outside of [`ZONE_YEARS`] unless the zone is a fixed offset.
pub(crate) fn in_zone_years(ms: i64, zone: &str) -> Result<NaiveDateTime> {
    let utc = civil(ms)?;
    if !zone.starts_with(['+', '-']) && !is_utc(zone) && !ZONE_YEARS.contains(&utc.year()) {
        return exec_err!(
            "zones such as {zone} are known from 1973 to 2099 on this engine: write the time in UTC"
        );
    }
    Ok(utc)
}

/// Without an offset the text is in UTC.
fn from_iso8601_timestamp(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let mut moments = Vec::new();
    for text in argument(arguments, 0)?.as_string_view() {
        match text.map(|text| (text, iso8601(text))) {
            None => moments.push(None),
            Some((_, Some(ms))) => moments.push(Some(ms)),
            Some((text, None)) => return exec_err!("'{text}' is not a time in ISO 8601, in UTC"),
        }
    }
    Ok(Arc::new(
        TimestampMillisecondArray::from(moments).with_timezone(UTC),
    ))
}

fn iso8601(text: &str) -> Option<i64> {
    // chrono reads blanks, any number of digits, and leap seconds.
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    if !text.is_ascii()
        || text.contains(char::is_whitespace)
        || digits > FRACTION_DIGITS_MAX
        || text.contains(":60")
    {
        return None;
    }
    // A value keeps the offset of its text on Athena, and a column has one zone here.
    let in_utc = |moment: DateTime<chrono::FixedOffset>| {
        (moment.offset().local_minus_utc() == 0).then(|| moment.timestamp_millis())
    };
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return in_utc(moment);
    }
    const WITH_OFFSET: [&str; 2] = ["%Y-%m-%dT%H:%M%:z", "%Y-%m-%dT%H:%M:%S%.f%z"];
    const WITHOUT: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let with_offset = |format| DateTime::parse_from_str(text, format).ok();
    if let Some(moment) = WITH_OFFSET.into_iter().find_map(with_offset) {
        return in_utc(moment);
    }
    let without = |format| NaiveDateTime::parse_from_str(text, format).ok();
    let day = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .and_then(|day| day.and_hms_opt(0, 0, 0))
    };
    let time = WITHOUT.into_iter().find_map(without).or_else(day)?;
    Some(time.and_utc().timestamp_millis())
}

fn from_iso8601_date(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let mut days = Vec::new();
    for text in argument(arguments, 0)?.as_string_view() {
        let day = |text: &str| match text.contains(char::is_whitespace) {
            true => None,
            false => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok(),
        };
        match text.map(|text| (text, day(text))) {
            None => days.push(None),
            Some((_, Some(day))) => days.push(Some(Date32Type::from_naive_date(day))),
            Some((text, None)) => return exec_err!("'{text}' is not a date in ISO 8601"),
        }
    }
    Ok(Arc::new(Date32Array::from(days)))
}

fn date_format(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let formats = argument(arguments, 1)?.as_string_view();
    let mut texts = Vec::new();
    for (ms, format) in epoch_ms(argument(arguments, 0)?)?.iter().zip(formats) {
        texts.push(match (ms, format) {
            (Some(ms), Some(format)) => Some(mysql_format::format_time(civil(ms)?, format)?),
            _ => None,
        });
    }
    Ok(Arc::new(StringArray::from(texts)))
}

fn date_parse(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = argument(arguments, 0)?.as_string_view();
    let formats = argument(arguments, 1)?.as_string_view();
    let mut times = Vec::new();
    for (text, format) in texts.iter().zip(formats) {
        times.push(match (text, format) {
            (Some(text), Some(format)) => {
                let time = mysql_parse::parse_time(text, format)?;
                Some(time.and_utc().timestamp_millis())
            }
            _ => None,
        });
    }
    Ok(Arc::new(TimestampMillisecondArray::from(times)))
}
