//! Subqueries that the engine's joins answer as Athena does. A comparison with NULL is unknown, which the joins take for
//! false: that makes no difference where a row is kept only if the comparison is true.

use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, Cast, InSubquery};
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, Operator};

/// Refuses the others.
pub(super) fn check(plan: &LogicalPlan, schema: &DFSchema) -> Result<()> {
    match plan {
        LogicalPlan::Filter(filter) => wanted(&filter.predicate, true, true, schema),
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => match &join.filter {
            Some(filter) => wanted(filter, true, true, schema),
            None => Ok(()),
        },
        plan => {
            plan.apply_expressions(|expr| {
                if expr.exists(|expr| Ok(is_one(expr)))? {
                    return plan_err!(
                        "IN, EXISTS, ANY and ALL of a subquery are on this engine in WHERE, HAVING and JOIN … ON alone: write a LEFT JOIN, and IS NULL"
                    );
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
            Ok(())
        }
    }
}

fn is_one(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)
    )
}

/// A part of a condition that has to be `as_is`, true or false, or makes no difference. `alone` if every row depends on it.
fn wanted(expr: &Expr, as_is: bool, alone: bool, schema: &DFSchema) -> Result<()> {
    match expr {
        Expr::Not(inner) => wanted(inner, !as_is, alone, schema),
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(op, Operator::And | Operator::Or) =>
        {
            let alone = alone && as_is && *op == Operator::And;
            wanted(left, as_is, alone, schema)?;
            wanted(right, as_is, alone, schema)
        }
        Expr::InSubquery(of) => {
            let must_be_true = of.negated != as_is;
            // Only this join knows NULL, and only if it finds a column.
            let knows_null =
                alone && of.subquery.outer_ref_columns.is_empty() && is_column(&of.expr);
            if must_be_true || knows_null {
                return Ok(());
            }
            never_null(of, schema)
        }
        expr => {
            expr.apply(|expr| {
                if let Expr::InSubquery(of) = expr {
                    never_null(of, schema)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
            Ok(())
        }
    }
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Cast(Cast { expr, .. }) => is_column(expr),
        Expr::Column(_) => true,
        _ => false,
    }
}

fn never_null(of: &InSubquery, schema: &DFSchema) -> Result<()> {
    let mut fields = of.subquery.subquery.schema().fields().iter();
    if of.expr.nullable(schema)? || fields.any(|field| field.is_nullable()) {
        return plan_err!(
            "NOT IN of a subquery and a value that may be NULL is on this engine a condition by itself, with a column on its left: write NOT EXISTS (SELECT 1 FROM … WHERE y = x)"
        );
    }
    Ok(())
}
