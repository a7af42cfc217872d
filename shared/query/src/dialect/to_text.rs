//! Doubles and times as texts in Athena's forms.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use datafusion::error::Result;

use super::array_function::{ArrayFunction, first};
use super::types::is_utc;
use crate::functions::timestamps::civil;

/// A cast to varchar or, with `iso`, `to_iso8601`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ToText {
    pub(crate) iso: bool,
}

impl ArrayFunction for ToText {
    fn name(&self) -> &'static str {
        match self.iso {
            true => "to_iso8601",
            false => "cast_to_varchar",
        }
    }

    fn returns(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let values = first(arrays)?;
        let texts: StringArray = match values.data_type() {
            DataType::Timestamp(unit, zone) => {
                let shown = |count| moment_text(count, *unit, zone.as_deref(), self.iso);
                let counts = cast(values, &DataType::Int64)?;
                let counts = counts.as_primitive::<Int64Type>().iter();
                let texts = counts.map(|count| count.map(shown).transpose());
                texts.collect::<Result<_>>()?
            }
            DataType::Date32 => {
                let days = cast(values, &DataType::Timestamp(TimeUnit::Second, None))?;
                let times = Self { iso: false }.run(&[days])?;
                let days = |time: &str| time.get(..DAY_CHARS).unwrap_or(time).to_owned();
                times
                    .as_string::<i32>()
                    .iter()
                    .map(|time| time.map(days))
                    .collect()
            }
            given => {
                let is_real = *given == DataType::Float32;
                let doubles = cast(values, &DataType::Float64)?;
                let doubles = doubles.as_primitive::<Float64Type>().iter();
                doubles
                    .map(|value| value.map(|value| double_text(value, is_real)))
                    .collect()
            }
        };
        Ok(Arc::new(texts))
    }
}

/// Those of `2026-03-07`.
const DAY_CHARS: usize = 10;

/// A double as Athena writes it: `1.0E10`.
fn double_text(value: f64, is_real: bool) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() {
            "-0E0"
        } else {
            "0E0"
        }
        .to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "it was a real")]
    let text = if is_real {
        format!("{:E}", value as f32)
    } else {
        format!("{value:E}")
    };
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

/// A time as Athena writes it, with the digits of its type.
fn moment_text(count: i64, unit: TimeUnit, zone: Option<&str>, iso: bool) -> Result<String> {
    let (ms, fraction) = match unit {
        TimeUnit::Second => (count.saturating_mul(1_000), ""),
        _ => (count, "%.3f"),
    };
    let utc = civil(ms)?.and_utc();
    let digits = format!("%Y-%m-%d{}%H:%M:%S{fraction}", if iso { 'T' } else { ' ' });
    let zone = zone.map(|zone| if is_utc(zone) { "UTC" } else { zone });
    Ok(match (zone, iso) {
        (None, _) => utc.format(&digits).to_string(),
        (Some("UTC"), true) => format!("{}Z", utc.format(&digits)),
        (Some(zone), _) => {
            let local = utc.with_timezone(&zone.parse::<Tz>()?);
            civil(local.naive_local().and_utc().timestamp_millis())?;
            match iso {
                true => local.format(&(digits + "%:z")).to_string(),
                false => format!("{} {zone}", local.format(&digits)),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_on_athena() {
        let check = |value: f64, text: &str| assert_eq!(double_text(value, false), text);
        check(1.0, "1.0E0");
        check(1e10, "1.0E10");
        check(1e-12, "1.0E-12");
        check(0.1, "1.0E-1");
        check(-123.25, "-1.2325E2");
        check(0.0, "0E0");
        check(f64::NEG_INFINITY, "-Infinity");
        assert_eq!(double_text(f64::from(0.1_f32), true), "1.0E-1");
    }
}
