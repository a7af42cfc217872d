//! Moments in a zone: `at_timezone(x, 'Asia/Tokyo')`, which is also `x AT TIME ZONE 'Asia/Tokyo'`.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
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
        if name.parse::<Tz>().is_err() {
            return plan_err!(
                "'{name}' is not a time zone: write one such as 'Asia/Tokyo' or '+09:00'"
            );
        }
        let unit = match time.data_type() {
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
        let is_moment = matches!(times.data_type(), DataType::Timestamp(_, Some(_)));
        // A time without a zone is in UTC for `at_timezone`, and in the zone itself for `with_timezone`.
        let times = match is_moment || self.name == "with_timezone" {
            true => times,
            false => cast(&times, &DataType::Timestamp(*unit, Some(UTC.into())))?,
        };
        let moved = cast(&times, &returns)?;
        match is_constant {
            true => ScalarValue::try_from_array(&moved, 0).map(ColumnarValue::Scalar),
            false => Ok(ColumnarValue::Array(moved)),
        }
    }
}
