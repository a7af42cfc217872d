//! EXCEPT ALL and INTERSECT ALL, which the engine plans as joins that ignore how often a row occurs.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::error::Result;
use datafusion::functions_window::row_number::row_number;
use datafusion::logical_expr::logical_plan::Join;
use datafusion::logical_expr::{Expr, ExprFunctionExt as _, LogicalPlan, LogicalPlanBuilder};

use super::set_operations::is_set_operation;

/// The column with the place of a row among its equals.
const PLACE: &str = "__place";

/// The plan, where the first of equal rows is paired with the first, the second with the second, and so on.
pub(super) fn with_places(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Join(join) = plan else {
        return Ok(plan);
    };
    // Without ALL, the left side is DISTINCT.
    if !is_set_operation(&join) || matches!(join.left.as_ref(), LogicalPlan::Distinct(_)) {
        return Ok(LogicalPlan::Join(join));
    }
    let columns = join.left.schema().columns();
    let mut on = join.on;
    on.push((place(), place()));
    let joined = LogicalPlan::Join(Join::try_new(
        Arc::new(numbered(&join.left)?),
        Arc::new(numbered(&join.right)?),
        on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?);
    let columns = columns.into_iter().map(Expr::Column);
    LogicalPlanBuilder::from(joined).project(columns)?.build()
}

fn place() -> Expr {
    Expr::Column(Column::new_unqualified(PLACE))
}

fn numbered(input: &LogicalPlan) -> Result<LogicalPlan> {
    let columns = input.schema().columns().into_iter().map(Expr::Column);
    let place = row_number()
        .partition_by(columns.collect())
        .build()?
        .alias(PLACE);
    LogicalPlanBuilder::from(input.clone())
        .window([place])?
        .build()
}
