//! Decimals of more than 18 digits as the nearest double, as Athena has it. The engine divides a double that is already
//! rounded by a power of ten.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, cast as cast_expr};
use datafusion::optimizer::AnalyzerRule;

/// Up to so many digits, Athena divides as the engine does.
const SHORT_DIGITS_MAX: u8 = 18;

/// The rule, for after the engine has converted types.
#[derive(Debug)]
pub(crate) struct ExactDoubles;

impl AnalyzerRule for ExactDoubles {
    fn name(&self) -> &'static str {
        "exact_doubles"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let exact = plan.transform_up_with_subqueries(|plan| {
            let schema = merge_schema(&plan.inputs());
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let exact = expr.transform_up(|expr| of_cast(expr, &schema))?;
                Ok(exact.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(exact.data)
    }
}

/// By way of its digits.
fn of_cast(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::Cast(Cast { expr: given, field }) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let is_long = matches!(given.get_type(schema)?, DataType::Decimal128(digits, _) if digits > SHORT_DIGITS_MAX);
    if !is_long || *field.data_type() != DataType::Float64 {
        return Ok(Transformed::no(expr));
    }
    let digits = cast_expr(given.as_ref().clone(), DataType::Utf8);
    Ok(Transformed::yes(cast_expr(digits, DataType::Float64)))
}
