//! Subqueries that the engine's joins answer as Athena does. A comparison with NULL is unknown, which the joins take for
//! false: that makes no difference where a row is kept only if the comparison is true.

use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType, Span, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, Cast, InSubquery};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, Operator};

use super::error_place::placed;

/// Refuses the others.
pub(super) fn check(plan: &LogicalPlan, schema: &DFSchema) -> Result<()> {
    plan.apply_expressions(|expr| {
        expr.apply(|expr| {
            let (inner, kind) = match expr {
                Expr::ScalarSubquery(inner) => (inner, Kind::Scalar),
                Expr::InSubquery(of) => (&of.subquery, Kind::In),
                Expr::SetComparison(of) => (&of.subquery, Kind::Compared),
                Expr::Exists(of) => (&of.subquery, Kind::Exists),
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            if !inner.outer_ref_columns.is_empty() {
                let checked = correlated(inner, kind);
                let mut places = inner.outer_ref_columns.iter().filter_map(outer_span);
                checked.map_err(|error| placed(error, places.next()))?;
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scalar,
    In,
    Compared,
    Exists,
}

fn outer_span(column: &Expr) -> Option<Span> {
    match column {
        Expr::OuterReferenceColumn(_, column) => column.spans().first(),
        _ => None,
    }
}

/// Refuses a subquery that refers to the statement around it, if it is not on Athena, or the engine's join takes the matches
/// for all rows: where nothing matches, an aggregate without GROUP BY has a row, and OFFSET counts the rows.
fn correlated(inner: &Subquery, kind: Kind) -> Result<()> {
    if kind == Kind::Compared {
        return plan_err!(
            "ANY and ALL of a subquery that refers to the statement around it are not on this engine: write EXISTS"
        );
    }
    let refers = |plan: &LogicalPlan| {
        let mut inputs = plan.inputs().into_iter();
        inputs.any(|input| !input.all_out_ref_exprs().is_empty())
    };
    let is_whole =
        |plan: &LogicalPlan| matches!(plan, LogicalPlan::Aggregate(of) if of.group_expr.is_empty());
    let has_aggregate = inner
        .subquery
        .exists(|plan| Ok(matches!(plan, LogicalPlan::Aggregate(_))))?;
    inner.subquery.apply(|plan| {
        let is_refused = match plan {
            _ if is_whole(plan) => kind != Kind::Scalar && refers(plan),
            LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => {
                kind == Kind::In && refers(plan)
            }
            LogicalPlan::Limit(limit) => limit.skip.is_some() && refers(plan),
            LogicalPlan::Window(_) => kind != Kind::Exists && refers(plan),
            LogicalPlan::Filter(filter) => match filter.input.as_ref() {
                input @ LogicalPlan::Aggregate(_) => is_whole(input) && refers(input),
                _ => {
                    kind == Kind::Scalar
                        && has_aggregate
                        && split_conjunction(&filter.predicate)
                            .into_iter()
                            .any(is_other_condition)
                }
            },
            _ => false,
        };
        match is_refused {
            false => Ok(TreeNodeRecursion::Continue),
            true => plan_err!(
                "a subquery that refers to the statement around it has on this engine no OFFSET, and an aggregate only as a value, without HAVING and with `=` alone: write a join with a subquery that has GROUP BY"
            ),
        }
    })?;
    Ok(())
}

/// Whether it is a condition on the statement around, and no equality.
fn is_other_condition(expr: &Expr) -> bool {
    let equality = matches!(expr, Expr::BinaryExpr(BinaryExpr { op, .. }) if *op == Operator::Eq);
    expr.contains_outer() && !equality
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
