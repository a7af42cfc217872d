//! `approx_percentile(x, p)`. Exact: Athena's sketch is so too on small inputs.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

pub(super) fn approx_percentile() -> AggregateUDF {
    AggregateUDF::from(ApproxPercentile(Signature::user_defined(
        Volatility::Immutable,
    )))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ApproxPercentile(Signature);

impl AggregateUDFImpl for ApproxPercentile {
    fn name(&self) -> &str {
        "approx_percentile"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let is_number = |given: &DataType| given.is_numeric() || given.is_null();
        match given {
            [value, share] if is_number(value) && is_number(share) => {
                let value = if value.is_integer() {
                    DataType::Int64
                } else {
                    DataType::Float64
                };
                Ok(vec![value, DataType::Float64])
            }
            _ => plan_err!(
                "call it as approx_percentile(x, p), with a constant p from 0 to 1: weights and arrays of percentages work only on Athena"
            ),
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(match given.first() {
            Some(given) if given.is_integer() => DataType::Int64,
            _ => DataType::Float64,
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let doubles = || DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)));
        let field = |part: &str| {
            Arc::new(Field::new(
                format!("{}[{part}]", args.name),
                doubles(),
                true,
            ))
        };
        Ok(vec![field("values")])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let Some(share) = args.exprs.last() else {
            return plan_err!("approx_percentile takes a percentage");
        };
        let nothing = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let Ok(ColumnarValue::Scalar(share)) = share.evaluate(&nothing) else {
            return plan_err!("the percentage of approx_percentile is a constant from 0 to 1");
        };
        let ScalarValue::Float64(Some(share)) = share.cast_to(&DataType::Float64)? else {
            return plan_err!("the percentage of approx_percentile is a constant from 0 to 1");
        };
        if !(0.0..=1.0).contains(&share) {
            return plan_err!("the percentage of approx_percentile is from 0 to 1, not {share}");
        }
        Ok(Box::new(Percentile {
            share,
            returns: args.return_field.data_type().clone(),
            values: Vec::new(),
        }))
    }
}

/// Larger bigints may have no exact double, and Athena rejects those.
const EXACT_MAX: u64 = 1 << 53;

#[derive(Debug)]
struct Percentile {
    share: f64,
    returns: DataType,
    values: Vec<f64>,
}

fn list(values: &[f64]) -> ScalarValue {
    let values: Vec<_> = values
        .iter()
        .map(|value| ScalarValue::Float64(Some(*value)))
        .collect();
    ScalarValue::List(ScalarValue::new_list(&values, &DataType::Float64, true))
}

impl Accumulator for Percentile {
    fn update_batch(&mut self, arrays: &[ArrayRef]) -> Result<()> {
        let Some(values) = arrays.first() else {
            return exec_err!("approx_percentile takes a value");
        };
        let is_large = |value: i64| value.unsigned_abs() > EXACT_MAX;
        if let Some(values) = values.as_primitive_opt::<Int64Type>()
            && values.iter().flatten().any(is_large)
        {
            return exec_err!("approx_percentile takes bigints of at most 2^53: divide them");
        }
        let values = cast(values, &DataType::Float64)?;
        self.values
            .extend(values.as_primitive::<Float64Type>().iter().flatten());
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if !self.values.iter().all(|value| value.is_finite()) {
            return exec_err!(
                "approx_percentile takes no NaN and no Infinity: leave them out with FILTER (WHERE is_finite(x))"
            );
        }
        ScalarValue::Float64(self.found()).cast_to(&self.returns)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![list(&self.values)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(values) = states.first() else {
            return exec_err!("approx_percentile has a state");
        };
        for row in values.as_list::<i32>().iter().flatten() {
            let row: &Float64Array = row.as_primitive();
            self.values.extend(row.iter().flatten());
        }
        Ok(())
    }
}

impl Percentile {
    fn found(&mut self) -> Option<f64> {
        let last = self.values.len().checked_sub(1)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place among values in memory"
        )]
        let place = ((self.share * self.values.len() as f64) as usize).min(last);
        let (_, found, _) = self.values.select_nth_unstable_by(place, f64::total_cmp);
        Some(*found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_is_the_upper_one() {
        let of = |values: &[f64], share| {
            let values = values.to_vec();
            Percentile {
                share,
                returns: DataType::Float64,
                values,
            }
            .found()
        };
        assert_eq!(of(&[4.0, 1.0, 3.0, 2.0], 0.5), Some(3.0));
        assert_eq!(of(&[1.0, 2.0, 3.0], 0.5), Some(2.0));
        assert_eq!(of(&[1.0], 1.0), Some(1.0));
        assert_eq!(of(&[], 0.5), None);
    }
}
