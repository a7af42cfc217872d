//! Aggregates of the engine whose results are changed: `sum` of integers fails where it does not fit, since the engine's own
//! wraps around, `corr` and its like are NULL where they are not finite, and `listagg` fails where its text is long.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, BooleanArray, Float64Array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::functions_aggregate::covariance::covar_pop_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use crate::dialect::types::DIGITS_MAX;

/// An integer as a decimal, and the type of the sum of such decimals.
pub(crate) const SUMMAND_DIGITS: u8 = 28;
pub(crate) const SUMMAND: DataType = DataType::Decimal128(SUMMAND_DIGITS, 0);
const SUM: DataType = DataType::Decimal128(38, 0);

/// The engine's sum of decimals, cast back.
pub(crate) fn integer_sum(inner: &Arc<AggregateUDF>) -> AggregateUDF {
    mapped(inner, "integer_sum", SUM, DataType::Int64, narrowed)
}

/// The engine's sum of long decimals of a scale, which fails where it has more than 38 digits: the engine's own wraps
/// around.
pub(crate) fn decimal_sum(inner: &Arc<AggregateUDF>, scale: i8) -> AggregateUDF {
    let sum = DataType::Decimal256(DIGITS_MAX + 10, scale);
    let returns = DataType::Decimal128(DIGITS_MAX, scale);
    mapped(inner, "decimal_sum", sum, returns, |sums| {
        let DataType::Decimal256(_, scale) = sums.data_type() else {
            return exec_err!("the sum of decimals is a decimal");
        };
        converted(sums, &DataType::Decimal128(DIGITS_MAX, *scale))
    })
}

/// The engine's aggregate of pairs, which is NULL where it is not finite.
pub(crate) fn finite_or_null(inner: &Arc<AggregateUDF>) -> AggregateUDF {
    let double = DataType::Float64;
    mapped(inner, "finite_or_null", double.clone(), double, finite)
}

/// The variance of a value that is passed twice, or its square root.
pub(crate) fn variance_of_pairs(root: bool) -> AggregateUDF {
    let double = DataType::Float64;
    let (name, map): (_, Map) = match root {
        false => ("variance_of_pairs", |variance| Ok(Arc::clone(variance))),
        true => ("deviation_of_pairs", |variance| {
            let variance = variance.as_primitive::<Float64Type>();
            Ok(Arc::new(variance.unary::<_, Float64Type>(f64::sqrt)))
        }),
    };
    mapped(&covar_pop_udaf(), name, double.clone(), double, map)
}

/// The engine's `max` or `min` without its accumulator for groups, which begins with the least finite number.
pub(crate) fn extreme(inner: &Arc<AggregateUDF>) -> AggregateUDF {
    let double = DataType::Float64;
    mapped(inner, EXTREME, double.clone(), double, |found| {
        Ok(Arc::clone(found))
    })
}

/// The engine's `string_agg`, which fails where its text is longer than Athena's may be.
pub(crate) fn short_text(inner: &Arc<AggregateUDF>) -> AggregateUDF {
    let text = DataType::LargeUtf8;
    mapped(inner, "short_text", text.clone(), text, |texts| {
        let lengths = texts.as_string::<i64>().iter().flatten().map(str::len);
        match lengths
            .max()
            .is_some_and(|longest| longest > TEXT_BYTES_MAX)
        {
            true => exec_err!("listagg makes texts of at most {TEXT_BYTES_MAX} bytes"),
            false => Ok(Arc::clone(texts)),
        }
    })
}

const TEXT_BYTES_MAX: usize = 1024 * 1024;

const EXTREME: &str = "extreme";

type Map = fn(&ArrayRef) -> Result<ArrayRef>;

fn mapped(
    inner: &Arc<AggregateUDF>,
    name: &'static str,
    given: DataType,
    returns: DataType,
    map: Map,
) -> AggregateUDF {
    AggregateUDF::from(Mapped {
        inner: Arc::clone(inner),
        name,
        given,
        returns,
        map,
        signature: Signature::variadic_any(Volatility::Immutable),
    })
}

#[derive(Debug)]
struct Mapped {
    inner: Arc<AggregateUDF>,
    name: &'static str,
    /// The type of the engine's result.
    given: DataType,
    returns: DataType,
    map: Map,
    signature: Signature,
}

// The names identify the function.
impl PartialEq for Mapped {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.inner == other.inner
    }
}

impl Eq for Mapped {}

impl Hash for Mapped {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.inner.hash(state);
    }
}

impl Mapped {
    fn given(&self) -> FieldRef {
        Arc::new(Field::new("given", self.given.clone(), true))
    }
}

impl AggregateUDFImpl for Mapped {
    fn name(&self) -> &'static str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let return_field = self.given();
        self.inner.state_fields(StateFieldsArgs {
            return_field,
            ..args
        })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let return_field = self.given();
        let inner = self.inner.accumulator(AccumulatorArgs {
            return_field,
            ..args
        })?;
        Ok(Box::new(One(inner, self.map)))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        let return_field = self.given();
        self.name != EXTREME
            && self.inner.groups_accumulator_supported(AccumulatorArgs {
                return_field,
                ..args
            })
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let return_field = self.given();
        let inner = self.inner.create_groups_accumulator(AccumulatorArgs {
            return_field,
            ..args
        })?;
        Ok(Box::new(Groups(inner, self.map)))
    }
}

/// The decimals as bigints, or an error if one does not fit.
fn narrowed(sums: &ArrayRef) -> Result<ArrayRef> {
    converted(sums, &DataType::Int64)
}

fn converted(sums: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    Ok(cast_with_options(sums, to, &options)?)
}

fn finite(results: &ArrayRef) -> Result<ArrayRef> {
    let results = results.as_primitive::<Float64Type>().iter();
    let finite: Float64Array = results
        .map(|result| result.filter(|result| result.is_finite()))
        .collect();
    Ok(Arc::new(finite))
}

#[derive(Debug)]
struct One(Box<dyn Accumulator>, Map);

impl Accumulator for One {
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
        let result = (self.1)(&self.0.evaluate()?.to_array()?)?;
        ScalarValue::try_from_array(&result, 0)
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

struct Groups(Box<dyn GroupsAccumulator>, Map);

impl GroupsAccumulator for Groups {
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
        (self.1)(&self.0.evaluate(emit_to)?)
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
