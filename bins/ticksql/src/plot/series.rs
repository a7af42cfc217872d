//! The time series in an answer: its times, the numbers over them, a line for each token, quote or
//! source.

use std::collections::BTreeMap;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, Schema, TimeUnit};
use chrono::NaiveDate;

use crate::cli_error::CliError;

/// Points that are held; more are omitted, and a note says so.
const POINTS_MAX: usize = 1_000_000;

/// The most lines that one plot can distinguish.
const LINES_MAX: usize = 8;

/// Columns of times in milliseconds since the epoch. (A name that ends in `_ms` is that of a duration.)
const TIMES_MS: [&str; 3] = ["ts", "timestamp", "ingested_at"];

/// What is drawn by default: the first of these columns that exists.
const VALUES: [&str; 5] = ["close", "price", "vwap", "avg_price", "last_price"];

/// The columns whose values distinguish the lines.
const NAMES: [&str; 3] = ["token", "quote", "source"];

/// Where the times are.
#[derive(Debug, Clone)]
enum Times {
    /// In a column: of timestamps, dates, or milliseconds.
    Column(usize),
    /// In columns year, month and, if there is one, day.
    Calendar(usize, usize, Option<usize>),
}

/// Lines of points: the time in milliseconds since the epoch, and the value.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    times: Times,
    value: usize,
    names: Vec<usize>,
    /// What is drawn.
    pub(crate) value_name: String,
    pub(crate) lines: BTreeMap<String, Vec<(i64, f64)>>,
    points: usize,
    /// Whether points or lines were omitted.
    pub(crate) cut: bool,
}

impl Plot {
    /// Finds what to draw; `wanted` is the name of a column, or empty for the default.
    pub(crate) fn of(schema: &Schema, wanted: &str) -> Result<Self, CliError> {
        let (times, used) = times(schema).ok_or_else(|| {
            CliError::Usage(
                "the answer has no time to draw over: select a timestamp, a date, `ts` or `ingested_at`, or year and month"
                    .to_owned(),
            )
        })?;
        let value = value(schema, wanted, &used)?;
        let named = |name: &&str| schema.column_with_name(name).map(|(index, _)| index);
        let is_text = |index: &usize| is_text(schema.field(*index).data_type());
        Ok(Self {
            times,
            value,
            names: NAMES.iter().filter_map(named).filter(is_text).collect(),
            value_name: schema.field(value).name().clone(),
            lines: BTreeMap::new(),
            points: 0,
            cut: false,
        })
    }

    /// Takes the points of rows. Those without a time or a number are skipped.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        let times = self.times_of(batch)?;
        let values = cast(batch.column(self.value), &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>();
        let names = self.names.iter();
        let names: Result<Vec<ArrayRef>, _> = names
            .map(|column| cast(batch.column(*column), &DataType::Utf8))
            .collect();
        let names = names?;
        for (row, time) in times.into_iter().enumerate() {
            let Some(time) = time else { continue };
            let value = values.value(row);
            if values.is_null(row) || !value.is_finite() {
                continue;
            }
            let named = names.iter().filter(|column| !column.is_null(row));
            let name: Vec<&str> = named
                .map(|column| column.as_string::<i32>().value(row))
                .collect();
            let name = name.join(" ");
            let known = self.lines.contains_key(&name);
            if self.points == POINTS_MAX || (!known && self.lines.len() == LINES_MAX) {
                self.cut = true;
                continue;
            }
            self.points += 1;
            self.lines.entry(name).or_default().push((time, value));
        }
        Ok(())
    }

    /// Sorts the points by time.
    pub(crate) fn sorted(mut self) -> Self {
        for line in self.lines.values_mut() {
            line.sort_by_key(|(time, _)| *time);
        }
        self
    }

    /// The first and last time, and the lowest and highest value; `None` without points.
    pub(super) fn bounds(&self) -> Option<Bounds> {
        let points = || self.lines.values().flatten();
        Some(Bounds {
            from_ms: points().map(|(time, _)| *time).min()?,
            to_ms: points().map(|(time, _)| *time).max()?,
            low: points().map(|(_, value)| *value).reduce(f64::min)?,
            high: points().map(|(_, value)| *value).reduce(f64::max)?,
        })
    }

    fn times_of(&self, batch: &RecordBatch) -> Result<Vec<Option<i64>>, CliError> {
        match self.times {
            Times::Column(index) => {
                let column = batch.column(index);
                if let Some(days) = column.as_primitive_opt::<Date32Type>() {
                    let day_ms = |day: i32| i64::from(day) * 86_400_000;
                    return Ok(days.iter().map(|day| day.map(day_ms)).collect());
                }
                let milliseconds = if let DataType::Timestamp(_, zone) = column.data_type() {
                    let milliseconds = DataType::Timestamp(TimeUnit::Millisecond, zone.clone());
                    cast(&cast(column, &milliseconds)?, &DataType::Int64)?
                } else {
                    cast(column, &DataType::Int64)?
                };
                Ok(milliseconds.as_primitive::<Int64Type>().iter().collect())
            }
            Times::Calendar(year, month, day) => {
                let numbers = |index: usize| -> Result<Vec<Option<i64>>, CliError> {
                    let column = cast(batch.column(index), &DataType::Int64)?;
                    Ok(column.as_primitive::<Int64Type>().iter().collect())
                };
                let (years, months) = (numbers(year)?, numbers(month)?);
                let days = match day {
                    Some(day) => numbers(day)?,
                    None => vec![Some(1); years.len()],
                };
                let dates = years.into_iter().zip(months).zip(days);
                Ok(dates
                    .map(|((year, month), day)| date_ms(year?, month?, day?))
                    .collect())
            }
        }
    }
}

/// The range of a plot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Bounds {
    /// How far a time is from the left side to the right, from 0 to 1.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a position needs fewer digits than a double has"
    )]
    pub(super) fn across(&self, time_ms: i64) -> f64 {
        let part = time_ms.saturating_sub(self.from_ms) as f64;
        share(part, self.to_ms.saturating_sub(self.from_ms) as f64)
    }

    /// How far a value is from the bottom to the top, from 0 to 1.
    pub(super) fn up(&self, value: f64) -> f64 {
        share(value - self.low, self.high - self.low)
    }
}

/// A part of a whole; the middle if the whole is 0.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        (part / whole).clamp(0.0, 1.0)
    } else {
        0.5
    }
}

fn date_ms(year: i64, month: i64, day: i64) -> Option<i64> {
    let (month, day) = (u32::try_from(month).ok()?, u32::try_from(day).ok()?);
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// Where the times are, and the columns that are therefore not values.
fn times(schema: &Schema) -> Option<(Times, Vec<usize>)> {
    let fields = || schema.fields().iter().enumerate();
    let real = fields().find(|(_, field)| {
        matches!(
            field.data_type(),
            DataType::Timestamp(..) | DataType::Date32
        )
    });
    let milliseconds = || {
        fields().find(|(_, field)| {
            field.data_type().is_integer() && TIMES_MS.contains(&field.name().as_str())
        })
    };
    let number = |name: &str| {
        let (index, field) = schema.column_with_name(name)?;
        field.data_type().is_integer().then_some(index)
    };
    if let Some((index, _)) = real.or_else(milliseconds) {
        return Some((Times::Column(index), vec![index]));
    }
    let (year, month, day) = (number("year")?, number("month")?, number("day"));
    let used = [Some(year), Some(month), day].into_iter().flatten();
    Some((Times::Calendar(year, month, day), used.collect()))
}

fn value(schema: &Schema, wanted: &str, used: &[usize]) -> Result<usize, CliError> {
    let numeric = |index: usize| schema.field(index).data_type().is_numeric();
    if !wanted.is_empty() {
        let found = schema.column_with_name(wanted).map(|(index, _)| index);
        return found.filter(|index| numeric(*index)).ok_or_else(|| {
            let columns = (0..schema.fields().len()).filter(|index| numeric(*index));
            let names: Vec<&str> = columns
                .map(|index| schema.field(index).name().as_str())
                .collect();
            CliError::Usage(format!(
                "--chart={wanted}: the answer has no numeric column of that name; it has {}",
                names.join(", ")
            ))
        });
    }
    let obvious = VALUES
        .iter()
        .filter_map(|name| schema.column_with_name(name));
    let obvious = obvious.map(|(index, _)| index);
    let columns = || (0..schema.fields().len()).filter(|index| !used.contains(index));
    let floats = columns().filter(|index| schema.field(*index).data_type().is_floating());
    let time = |index: &usize| TIMES_MS.contains(&schema.field(*index).name().as_str());
    let numbers = columns().filter(|index| !time(index));
    let mut candidates = obvious.chain(floats).chain(numbers);
    candidates
        .find(|index| numeric(*index))
        .ok_or_else(|| CliError::Usage("the answer has no numeric column to draw".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
        let columns = columns
            .iter()
            .map(|(name, array)| (*name, Arc::clone(array)));
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn plotted(batch: &RecordBatch, wanted: &str) -> Plot {
        let mut plot = Plot::of(&batch.schema(), wanted).unwrap();
        plot.add(batch).unwrap();
        plot.sorted()
    }

    #[test]
    fn a_line_for_each_name_over_the_times() {
        let rows = batch(&[
            (
                "quote",
                Arc::new(StringArray::from(vec!["USD", "EUR", "USD"])),
            ),
            ("ts", Arc::new(Int64Array::from(vec![60_000, 0, 0]))),
            ("open", Arc::new(Float64Array::from(vec![1.0, 1.0, 1.0]))),
            (
                "close",
                Arc::new(Float64Array::from(vec![Some(3.0), Some(2.0), Some(1.0)])),
            ),
        ]);
        let plot = plotted(&rows, "");
        assert_eq!(plot.value_name, "close");
        assert_eq!(plot.lines["USD"], [(0, 1.0), (60_000, 3.0)]);
        assert_eq!(plot.lines["EUR"], [(0, 2.0)]);
        let plot = plotted(&rows, "open");
        assert_eq!(plot.lines["USD"], [(0, 1.0), (60_000, 1.0)]);
        let error = Plot::of(&rows.schema(), "volume").unwrap_err();
        assert!(error.to_string().contains("ts, open, close"), "{error}");
    }

    #[test]
    fn a_duration_is_a_value_and_not_a_time() {
        let age: ArrayRef = Arc::new(Int64Array::from(vec![250]));
        let (ts, ingested_at): (ArrayRef, ArrayRef) = (
            Arc::new(Int64Array::from(vec![5_000])),
            Arc::new(Int64Array::from(vec![6_000])),
        );
        let error = Plot::of(&batch(&[("age_ms", Arc::clone(&age))]).schema(), "").unwrap_err();
        assert!(
            error.to_string().contains("no time to draw over"),
            "{error}"
        );
        let rows = batch(&[("age_ms", age), ("ingested_at", ingested_at), ("ts", ts)]);
        let plot = plotted(&rows, "");
        assert_eq!(plot.value_name, "age_ms");
        assert_eq!(plot.lines[""], [(6_000, 250.0)]);
    }

    #[test]
    fn times_are_timestamps_or_a_calendar_too() {
        let rows = batch(&[
            ("n", Arc::new(Int64Array::from(vec![7]))),
            (
                "time",
                Arc::new(TimestampMicrosecondArray::from(vec![5_000_000])),
            ),
        ]);
        assert_eq!(plotted(&rows, "").lines[""], [(5_000, 7.0)]);
        let rows = batch(&[
            ("year", Arc::new(Int64Array::from(vec![2026, 2026]))),
            ("month", Arc::new(Int64Array::from(vec![3, 13]))),
            ("ticks", Arc::new(Int64Array::from(vec![7, 8]))),
        ]);
        let plot = plotted(&rows, "");
        assert_eq!(plot.value_name, "ticks");
        assert_eq!(plot.lines[""], [(1_772_323_200_000, 7.0)]);
        let rows = batch(&[("price", Arc::new(Float64Array::from(vec![1.0])))]);
        let error = Plot::of(&rows.schema(), "").unwrap_err();
        assert!(
            error.to_string().contains("no time to draw over"),
            "{error}"
        );
    }
}
