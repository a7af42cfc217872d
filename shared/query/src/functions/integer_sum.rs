//! `sum` of integers that fails where it does not fit: the engine's own wraps around. It is the engine's sum of decimals,
//! whose result is cast back.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

/// An integer as a decimal, and the type of the sum of such decimals.
pub(crate) const SUMMAND: DataType = DataType::Decimal128(28, 0);
const SUM: DataType = DataType::Decimal128(38, 0);

/// Builds it from the engine's `sum`.
pub(crate) fn integer_sum(inner: &Arc<AggregateUDF>) -> AggregateUDF {
    AggregateUDF::from(IntegerSum {
        inner: Arc::clone(inner),
        signature: Signature::exact(vec![SUMMAND], Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct IntegerSum {
    inner: Arc<AggregateUDF>,
    signature: Signature,
}

fn sum_field() -> FieldRef {
    Arc::new(Field::new("sum", SUM, true))
}

impl AggregateUDFImpl for IntegerSum {
    fn name(&self) -> &str {
        "integer_sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let return_field = sum_field();
        self.inner.state_fields(StateFieldsArgs {
            return_field,
            ..args
        })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let return_field = sum_field();
        let inner = self.inner.accumulator(AccumulatorArgs {
            return_field,
            ..args
        })?;
        Ok(Box::new(Summed(inner)))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        let return_field = sum_field();
        self.inner.groups_accumulator_supported(AccumulatorArgs {
            return_field,
            ..args
        })
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let return_field = sum_field();
        let inner = self.inner.create_groups_accumulator(AccumulatorArgs {
            return_field,
            ..args
        })?;
        Ok(Box::new(GroupsSummed(inner)))
    }
}

/// The decimals as bigints, or an error if one does not fit.
fn narrowed(sums: &ArrayRef) -> Result<ArrayRef> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    Ok(cast_with_options(sums, &DataType::Int64, &options)?)
}

#[derive(Debug)]
struct Summed(Box<dyn Accumulator>);

impl Accumulator for Summed {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = narrowed(&self.0.evaluate()?.to_array()?)?;
        ScalarValue::try_from_array(&sum, 0)
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }
}

struct GroupsSummed(Box<dyn GroupsAccumulator>);

impl GroupsAccumulator for GroupsSummed {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.0.update_batch(values, group_indices, filter, groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        narrowed(&self.0.evaluate(emit_to)?)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.state(emit_to)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        groups: usize,
    ) -> Result<()> {
        self.0.merge_batch(values, group_indices, groups)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        self.0.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
