//! Constants that have no value, such as `1 / 0`, as results, as keys of ORDER BY and GROUP BY, and in windows. Athena
//! fails; this engine leaves out what is the same for all rows, and would answer.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::create_physical_expr;
use datafusion::scalar::ScalarValue;

use super::array_function::{ArrayFunction, first};

/// The name of a value's type: `typeof`. Athena computes the value, and fails where it cannot.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TypeOf;

impl ArrayFunction for TypeOf {
    fn name(&self) -> &'static str {
        "typeof"
    }

    fn returns(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    /// Of the values and the name.
    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        first(arrays.get(1..).unwrap_or_default()).cloned()
    }
}

/// The rule, for after the engine has converted types.
#[derive(Debug)]
pub(crate) struct FailingConstants;

impl AnalyzerRule for FailingConstants {
    fn name(&self) -> &'static str {
        "failing_constants"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.apply_with_subqueries(|plan| {
            use LogicalPlan as Plan;
            if let Plan::Sort(_) | Plan::Window(_) | Plan::Aggregate(_) | Plan::Projection(_) = plan
            {
                plan.apply_expressions(|expr| {
                    of_key(expr)?;
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(plan)
    }
}

/// The error of a key or a result that is a constant without a value.
fn of_key(key: &Expr) -> Result<()> {
    match key {
        Expr::Alias(alias) => of_key(&alias.expr),
        Expr::WindowFunction(function) => {
            let of = &function.params;
            let order_by = of.order_by.iter().map(|key| &key.expr);
            let mut keys = of.args.iter().chain(&of.partition_by).chain(order_by);
            keys.try_for_each(of_key)
        }
        key if is_computed(key)? => evaluated(key).map(drop),
        _ => Ok(()),
    }
}

/// Whether it is a constant that has to be computed, by functions and operators alone.
fn is_computed(key: &Expr) -> Result<bool> {
    let is_other = key.exists(|part| {
        Ok(!matches!(
            part,
            Expr::Literal(..)
                | Expr::BinaryExpr(_)
                | Expr::ScalarFunction(_)
                | Expr::Cast(_)
                | Expr::TryCast(_)
                | Expr::Negative(_)
                | Expr::Case(_)
                | Expr::IsNull(_)
                | Expr::IsNotNull(_)
        ))
    })?;
    Ok(!is_other && !key.is_volatile() && !matches!(key, Expr::Literal(..)))
}

/// The value of a constant.
pub(super) fn evaluated(constant: &Expr) -> Result<ScalarValue> {
    // The simplifier removes IS NULL of a value that is never NULL without computing the value.
    constant.apply(|part| {
        if let Expr::IsNull(value) | Expr::IsNotNull(value) = part {
            evaluated(value)?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let context = SimplifyContext::builder().with_current_time().build();
    let simplifier = ExprSimplifier::new(context);
    let coerced = simplifier.coerce(constant.clone(), &DFSchema::empty())?;
    let simplified = simplifier.simplify(coerced)?;
    if let Expr::Literal(value, _) = simplified {
        return Ok(value);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
    let physical = create_physical_expr(
        &simplified,
        &DFSchema::empty(),
        &Default::default(),
        &Default::default(),
    )?;
    ScalarValue::try_from_array(&physical.evaluate(&row)?.to_array(1)?, 0)
}
