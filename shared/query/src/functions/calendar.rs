//! Steps in the calendar: `date_add`, `date_diff`, the last day of a month.

use std::sync::Arc;

use chrono::{Datelike as _, Months, NaiveDate, NaiveDateTime, TimeDelta};
use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, Date32Array, Int64Array, TimestampMillisecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::arg_type::ArgType;
use super::scalar_function::{Returns, Scalar, argument};
use super::timestamps::{civil, epoch_ms};

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
const MONTHS_PER_QUARTER: i64 = 3;
const MONTHS_PER_YEAR: i64 = 12;

pub(super) fn functions() -> Vec<Scalar> {
    vec![
        Scalar::new(
            "date_add",
            &[&[ArgType::Text, ArgType::Integer, ArgType::Time]],
            Returns::As(2),
            date_add,
        ),
        Scalar::new(
            "date_diff",
            &[&[ArgType::Text, ArgType::Time, ArgType::Time]],
            Returns::Type(DataType::Int64),
            date_diff,
        ),
        Scalar::new(
            "last_day_of_month",
            &[&[ArgType::Time]],
            Returns::Type(DataType::Date32),
            last_day_of_month,
        ),
    ]
}

/// A unit is a fixed time, or a number of months, which have no fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Ms(i64),
    Months(i64),
}

impl Unit {
    fn named(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "millisecond" => Self::Ms(1),
            "second" => Self::Ms(SECOND_MS),
            "minute" => Self::Ms(MINUTE_MS),
            "hour" => Self::Ms(HOUR_MS),
            "day" => Self::Ms(DAY_MS),
            "week" => Self::Ms(7 * DAY_MS),
            "month" => Self::Months(1),
            "quarter" => Self::Months(MONTHS_PER_QUARTER),
            "year" => Self::Months(MONTHS_PER_YEAR),
            _ => {
                return exec_err!(
                    "'{name}' is not a unit: use millisecond, second, minute, hour, day, week, month, quarter or year"
                );
            }
        })
    }

    /// A date has no parts below the day.
    fn of_dates(self, name: &str) -> Result<Self> {
        match self {
            Self::Ms(ms) if ms < DAY_MS => {
                exec_err!("a date has no {name}: cast it to timestamp")
            }
            Self::Ms(_) | Self::Months(_) => Ok(self),
        }
    }

    /// If the month that is reached lacks the day, the result is its last day.
    fn later(self, from: NaiveDateTime, count: i64) -> Option<NaiveDateTime> {
        match self {
            Self::Ms(ms) => {
                from.checked_add_signed(TimeDelta::try_milliseconds(ms.checked_mul(count)?)?)
            }
            Self::Months(months) => {
                let months = months.checked_mul(count)?;
                let distance = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
                if months < 0 {
                    from.checked_sub_months(distance)
                } else {
                    from.checked_add_months(distance)
                }
            }
        }
    }

    /// Whole units from one time to another; negative if the second is the earlier.
    fn whole_between(self, from: NaiveDateTime, to: NaiveDateTime) -> i64 {
        if to < from {
            return -self.whole_between(to, from);
        }
        match self {
            Self::Ms(ms) => (to - from).num_milliseconds() / ms,
            Self::Months(months) => {
                let month = |time: NaiveDateTime| {
                    i64::from(time.year()) * MONTHS_PER_YEAR + i64::from(time.month())
                };
                let apart = month(to) - month(from);
                let reached = Self::Months(1).later(from, apart);
                let whole = apart - i64::from(reached.is_none_or(|reached| reached > to));
                whole / months
            }
        }
    }
}

fn is_dates(array: &ArrayRef) -> bool {
    *array.data_type() == DataType::Date32
}

fn date_add(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let units = argument(arguments, 0)?.as_string_view();
    let counts = argument(arguments, 1)?.as_primitive::<Int64Type>();
    let from = argument(arguments, 2)?;
    let mut later = Vec::with_capacity(from.len());
    for ((unit, count), ms) in units.iter().zip(counts).zip(&epoch_ms(from)?) {
        let (Some(name), Some(count), Some(ms)) = (unit, count, ms) else {
            later.push(None);
            continue;
        };
        let mut unit = Unit::named(name)?;
        if is_dates(from) {
            unit = unit.of_dates(name)?;
        }
        if i32::try_from(count).is_err() {
            return exec_err!(
                "date_add adds at most {} of a unit, not {count}: use a larger one, or from_unixtime(ms / 1e3)",
                i32::MAX
            );
        }
        match unit.later(civil(ms)?, count) {
            Some(time) => later.push(Some(time.and_utc().timestamp_millis())),
            None => return exec_err!("{count} {name}s later is outside the calendar"),
        }
    }
    let later: ArrayRef = Arc::new(TimestampMillisecondArray::from(later));
    Ok(cast(&later, from.data_type())?)
}

fn date_diff(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let units = argument(arguments, 0)?.as_string_view();
    let (from, to) = (argument(arguments, 1)?, argument(arguments, 2)?);
    let dates = is_dates(from) && is_dates(to);
    let mut counts = Vec::with_capacity(from.len());
    for ((unit, from), to) in units.iter().zip(&epoch_ms(from)?).zip(&epoch_ms(to)?) {
        let (Some(name), Some(from), Some(to)) = (unit, from, to) else {
            counts.push(None);
            continue;
        };
        let mut unit = Unit::named(name)?;
        if dates {
            unit = unit.of_dates(name)?;
        }
        counts.push(Some(unit.whole_between(civil(from)?, civil(to)?)));
    }
    Ok(Arc::new(Int64Array::from(counts)))
}

fn last_day_of_month(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let last = |ms: i64| {
        let day = civil(ms)?.date();
        let first = NaiveDate::from_ymd_opt(day.year(), day.month(), 1);
        let next = first.and_then(|first| first.checked_add_months(Months::new(1)));
        match next.and_then(|next| next.pred_opt()) {
            Some(last) => Ok(Date32Type::from_naive_date(last)),
            None => exec_err!("{day} is in the last month of the calendar"),
        }
    };
    let days = epoch_ms(argument(arguments, 0)?)?
        .iter()
        .map(|ms| ms.map(last).transpose())
        .collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Date32Array::from(days)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        text.parse::<NaiveDateTime>().unwrap()
    }

    #[test]
    fn whole_units_are_counted_and_parts_are_not() {
        for (unit, from, to, expected) in [
            (
                "second",
                "2026-03-07T10:00:00",
                "2026-03-07T10:00:59.999",
                59,
            ),
            ("minute", "2026-03-07T10:00:00", "2026-03-07T09:58:01", -1),
            ("day", "2026-03-07T12:00:00", "2026-03-09T11:59:59", 1),
            ("week", "2026-03-07T00:00:00", "2026-03-21T00:00:00", 2),
            ("month", "2026-01-31T00:00:00", "2026-02-28T00:00:00", 1),
            ("month", "2026-01-31T10:00:00", "2026-02-28T09:00:00", 0),
            ("month", "2026-03-15T00:00:00", "2026-01-15T00:00:00", -2),
            ("quarter", "2026-01-01T00:00:00", "2026-12-31T00:00:00", 3),
            ("year", "2024-02-29T00:00:00", "2026-02-28T00:00:00", 2),
            ("year", "2026-03-01T00:00:00", "2027-02-28T23:59:59", 0),
        ] {
            let unit = Unit::named(unit).unwrap();
            assert_eq!(
                unit.whole_between(at(from), at(to)),
                expected,
                "{unit:?} {from} {to}"
            );
        }
    }

    #[test]
    fn a_day_that_a_month_lacks_becomes_its_last() {
        for (unit, count, from, expected) in [
            ("month", 1, "2026-01-31T08:00:00", "2026-02-28T08:00:00"),
            ("year", -2, "2024-02-29T00:00:00", "2022-02-28T00:00:00"),
            ("quarter", 1, "2026-11-30T00:00:00", "2027-02-28T00:00:00"),
            (
                "millisecond",
                -1,
                "2026-01-01T00:00:00",
                "2025-12-31T23:59:59.999",
            ),
        ] {
            let later = Unit::named(unit).unwrap().later(at(from), count);
            assert_eq!(later, Some(at(expected)), "{count} {unit}");
        }
        assert_eq!(
            Unit::Months(12).later(at("2026-01-01T00:00:00"), i64::MAX),
            None
        );
        assert!(Unit::named("fortnight").is_err());
        assert!(Unit::Ms(HOUR_MS).of_dates("hour").is_err());
    }
}
