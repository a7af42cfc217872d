//! Doubles and times as texts in Athena's forms.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, ListArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, TimeUnit};
use datafusion::error::Result;

use super::array_function::{ArrayFunction, first};
use super::double_text::double_text;
use super::types::is_utc;
use crate::functions::timestamps::{civil, in_zone_years};

/// A cast to varchar or, with `iso`, `to_iso8601`; of an array, of each item.
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

    fn returns(&self, given: &[DataType]) -> Result<DataType> {
        Ok(match given {
            [DataType::List(_)] => DataType::List(text_item()),
            _ => DataType::Utf8,
        })
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let values = first(arrays)?;
        let texts: StringArray = match values.data_type() {
            DataType::List(_) => {
                let lists = values.as_list::<i32>();
                let texts = self.run(&[Arc::clone(lists.values())])?;
                let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
                let lists = ListArray::try_new(text_item(), offsets, texts, nulls)?;
                return Ok(Arc::new(lists));
            }
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
            _ => {
                let doubles = cast(values, &DataType::Float64)?;
                let doubles = doubles.as_primitive::<Float64Type>().iter();
                doubles.map(|value| value.map(double_text)).collect()
            }
        };
        Ok(Arc::new(texts))
    }
}

fn text_item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Utf8, true))
}

/// Those of `2026-03-07`.
const DAY_CHARS: usize = 10;

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
            in_zone_years(ms, zone)?;
            let local = utc.with_timezone(&zone.parse::<Tz>()?);
            civil(local.naive_local().and_utc().timestamp_millis())?;
            match iso {
                true => local.format(&(digits + "%:z")).to_string(),
                false => format!("{} {zone}", local.format(&digits)),
            }
        }
    })
}
