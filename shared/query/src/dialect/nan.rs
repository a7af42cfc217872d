//! NaN is one value on Athena; the engine tells its signs apart where it orders and groups.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, Float64Array};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{DFSchema, NullEquality};
use datafusion::error::Result;
use datafusion::functions::math;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{
    Distinct, Expr, ExprSchemable as _, LogicalPlan, LogicalPlanBuilder, lit, when,
};
use datafusion::scalar::ScalarValue;

use super::arithmetic::may_be_nan;
use super::array_function::{ArrayFunction, first};
use super::casts::call;
use super::operands::orderable;
use super::types;

/// Whether it is a double that may be NaN.
pub(super) fn is_odd(expr: &Expr, schema: &DFSchema) -> bool {
    let given = expr.get_type(schema);
    given.is_ok_and(|given| types::is_float(&given)) && may_be_nan(expr, schema)
}

/// Replaces NaN with another value if the expression can be NaN, and -0 with 0, since DataFusion treats -0 and 0 as
/// different values.
pub(super) fn with_nan(expr: Expr, nan: Option<f64>, schema: &DFSchema) -> Result<Expr> {
    if !is_odd(&expr, schema) {
        return Ok(expr);
    }
    let nan = ScalarValue::Float64(nan).cast_to(&expr.get_type(schema)?)?;
    when(call(math::isnan(), vec![expr.clone()]), lit(nan)).otherwise(expr + lit(0.0))
}

/// Orders NaN as Athena does: above all numbers or, with NULLS FIRST, below them.
pub(super) fn sorted(keys: &mut [Sort], schema: &DFSchema) -> Result<()> {
    for key in keys {
        let nan = if key.nulls_first { -f64::NAN } else { f64::NAN };
        key.expr = with_nan(key.expr.clone(), Some(nan), schema)?;
    }
    Ok(())
}

/// Applies [`sorted`] to the keys of ORDER BY.
pub(super) fn in_order(plan: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    let LogicalPlan::Sort(mut sort) = plan else {
        return Ok(plan);
    };
    for key in &sort.expr {
        orderable("ORDER BY", &key.expr.get_type(schema)?)?;
    }
    sorted(&mut sort.expr, schema)?;
    Ok(LogicalPlan::Sort(sort))
}

/// What NaN becomes in the expressions of a plan; the outer `None` leaves it as it is.
pub(super) fn in_plan(plan: &LogicalPlan) -> Option<Option<f64>> {
    match plan {
        LogicalPlan::Aggregate(_) => Some(Some(f64::NAN)),
        // It equals nothing, not even itself.
        LogicalPlan::Join(join) if join.null_equality == NullEquality::NullEqualsNothing => {
            Some(None)
        }
        LogicalPlan::Join(_) => Some(Some(f64::NAN)),
        _ => None,
    }
}

/// NULL for NaN, as a key of an order in which NaN is the last, whatever its direction.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct NanLast;

impl ArrayFunction for NanLast {
    fn name(&self) -> &'static str {
        "__nan_last"
    }

    fn returns(&self, given: &[DataType]) -> Result<DataType> {
        Ok(given.first().cloned().unwrap_or(DataType::Null))
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let values = first(arrays)?;
        let Some(doubles) = values.as_primitive_opt::<Float64Type>() else {
            return Ok(Arc::clone(values));
        };
        let numbers = doubles
            .iter()
            .map(|double| double.filter(|it| !it.is_nan()));
        Ok(Arc::new(numbers.collect::<Float64Array>()))
    }
}

/// DISTINCT over columns with one NaN.
pub(super) fn distinct(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Distinct(Distinct::All(input)) = plan else {
        return Ok(plan);
    };
    let schema = Arc::clone(input.schema());
    let columns = || schema.columns().into_iter().map(Expr::Column);
    if !columns().any(|column| is_odd(&column, &schema)) {
        return Ok(LogicalPlan::Distinct(Distinct::All(input)));
    }
    let named = schema.columns().into_iter().map(|column| {
        let (relation, name) = (column.relation.clone(), column.name.clone());
        let one = with_nan(Expr::Column(column), Some(f64::NAN), &schema)?;
        Ok(match one {
            Expr::Column(_) => one,
            _ => one.alias_qualified(relation, name),
        })
    });
    let named = named.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(input)
        .project(named)?
        .distinct()?
        .build()
}
