//! Moments in a zone: `at_timezone(x, 'Asia/Tokyo')`, which is also `x AT TIME ZONE 'Asia/Tokyo'`.

use std::sync::Arc;

use chrono::{LocalResult, NaiveDateTime, Offset as _, TimeZone as _};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array as _, ArrayRef, TimestampMillisecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::scalar::ScalarValue;

use super::arg_type::UTC;
use super::timestamps::{civil, epoch_ms, in_zone_years};
use super::zone_names::zone_name;
use crate::dialect::array_function::{ArrayFunction, first};

/// `at_timezone`, which keeps the moment, and `with_timezone`, which keeps the date and time of day.
pub(super) fn functions() -> [ScalarUDF; 2] {
    ["at_timezone", "with_timezone"].map(|name| {
        let signature = Signature::any(2, Volatility::Immutable);
        ScalarUDF::from(InZone { name, signature })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct InZone {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for InZone {
    fn name(&self) -> &'static str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("the zone of {} is a text such as 'Asia/Tokyo'", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let ([Some(time), _], [_, Some(zone)]) = (
            [args.arg_fields.first(), args.arg_fields.get(1)],
            [
                args.scalar_arguments.first().copied().flatten(),
                args.scalar_arguments.get(1).copied().flatten(),
            ],
        ) else {
            return plan_err!("the zone of {} is a text such as 'Asia/Tokyo'", self.name);
        };
        let name = match zone {
            ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name)) => name.as_str(),
            _ => return plan_err!("the zone of {} is a text such as 'Asia/Tokyo'", self.name),
        };
        let Some(name) = zone_name(name) else {
            return plan_err!(
                "'{name}' is not a time zone of both engines: write one such as 'Asia/Tokyo' or '+09:00'"
            );
        };
        let unit = match time.data_type() {
            DataType::Timestamp(_, Some(_)) if self.name == "with_timezone" => {
                return plan_err!(
                    "with_timezone takes a timestamp without a zone: write at_timezone(x, 'zone')"
                );
            }
            DataType::Timestamp(unit, _) => *unit,
            other => return plan_err!("{} takes a timestamp, not {other}", self.name),
        };
        let returns = DataType::Timestamp(unit, Some(name.into()));
        Ok(Arc::new(Field::new(self.name, returns, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let returns = args.return_field.data_type().clone();
        let DataType::Timestamp(unit, _) = &returns else {
            return exec_err!("{} returns a moment", self.name);
        };
        let Some(time) = args.args.first() else {
            return exec_err!("{} takes a time and a zone", self.name);
        };
        let is_constant = matches!(time, ColumnarValue::Scalar(_));
        let times = time.to_array(1)?;
        // A time without a zone is in UTC for `at_timezone`, and in the zone itself for `with_timezone`.
        let moved = match (times.data_type(), self.name) {
            (_, "with_timezone") => in_zone(&times, None, &returns)?,
            (DataType::Timestamp(_, Some(_)), _) => cast(&times, &returns)?,
            _ => {
                let utc = cast(&times, &DataType::Timestamp(*unit, Some(UTC.into())))?;
                cast(&utc, &returns)?
            }
        };
        match is_constant {
            true => ScalarValue::try_from_array(&moved, 0).map(ColumnarValue::Scalar),
            false => Ok(ColumnarValue::Array(moved)),
        }
    }
}

/// The moments of a zone with a date and time of day: `(local times)`, or `(local times, moments)` for those that are as far
/// from UTC as the moments that they were computed from.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct FromLocal {
    /// The type of the moments.
    pub(crate) returns: DataType,
}

impl ArrayFunction for FromLocal {
    fn name(&self) -> &'static str {
        "from_local_time"
    }

    fn returns(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        in_zone(first(arrays)?, arrays.get(1), &self.returns)
    }
}

fn in_zone(local: &ArrayRef, from: Option<&ArrayRef>, returns: &DataType) -> Result<ArrayRef> {
    let DataType::Timestamp(_, Some(name)) = returns else {
        return exec_err!("a moment has a zone");
    };
    let zone: Tz = name.parse()?;
    let local = epoch_ms(local)?;
    let from = from.map(epoch_ms).transpose()?;
    let mut moments = Vec::with_capacity(local.len());
    for (row, ms) in local.iter().enumerate() {
        let from = from.as_ref().filter(|from| from.is_valid(row));
        let from = from.map(|from| civil(from.value(row))).transpose()?;
        let utc = |ms: i64| -> Result<i64> {
            let local = civil(ms)?;
            let utc = match from {
                Some(from) => local - zone.offset_from_utc_datetime(&from).fix(),
                None => moment_of(zone, local)?,
            };
            let ms = utc.and_utc().timestamp_millis();
            in_zone_years(ms, name).map(|_| ms)
        };
        moments.push(ms.map(utc).transpose()?);
    }
    let moments = TimestampMillisecondArray::from(moments).with_timezone(UTC);
    Ok(cast(&moments, returns)?)
}

/// In UTC, unless the clocks of the zone skip the time, or show it twice.
fn moment_of(zone: Tz, local: NaiveDateTime) -> Result<NaiveDateTime> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(moment) => Ok(moment.naive_utc()),
        LocalResult::Ambiguous(..) | LocalResult::None => {
            exec_err!("clocks changed at {local}, so that it is not one moment: compute in UTC")
        }
    }
}
