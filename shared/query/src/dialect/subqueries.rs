//! Subqueries that the engine's joins answer as Athena does. A comparison with NULL is unknown, which the joins take for
//! false: that makes no difference where a row is kept only if the comparison is true.

use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{
    BinaryExpr, Cast, Exists, InSubquery, SetComparison, SetQuantifier,
};
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, Operator};

/// Refuses the others.
pub(super) fn check(plan: &LogicalPlan, schema: &DFSchema) -> Result<()> {
    plan.apply_expressions(|expr| {
        expr.apply(|expr| {
            if let Expr::InSubquery(InSubquery {
                subquery: inner, ..
            })
            | Expr::Exists(Exists {
                subquery: inner, ..
            })
            | Expr::SetComparison(SetComparison {
                subquery: inner, ..
            }) = expr
            {
                inner.subquery.apply(keeps_rows)?;
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

/// Refuses a part of a subquery that refers to the statement around it and has a row where nothing matches, or leaves rows
/// out by their number: the engine's join takes the matches for all rows.
fn keeps_rows(plan: &LogicalPlan) -> Result<TreeNodeRecursion> {
    let by_number = match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Limit(limit) => limit.skip.is_some(),
        _ => false,
    };
    let mut inputs = plan.inputs().into_iter();
    if by_number && inputs.any(|input| !input.all_out_ref_exprs().is_empty()) {
        return plan_err!(
            "IN, EXISTS, ANY and ALL of an aggregate without GROUP BY, or of OFFSET, and with a condition on the statement around it are not on this engine: write a LEFT JOIN of a subquery with GROUP BY"
        );
    }
    Ok(TreeNodeRecursion::Continue)
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
        Expr::SetComparison(of) if as_is != differs(of) => Ok(()),
        expr => {
            expr.apply(|expr| {
                match expr {
                    Expr::InSubquery(of) => never_null(of, schema)?,
                    Expr::SetComparison(of) => never_null_of_two(of, schema)?,
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
            Ok(())
        }
    }
}

/// `<> ANY`, which is true on Athena where the value is NULL and the subquery has two others, and not unknown.
fn differs(of: &SetComparison) -> bool {
    of.op == Operator::NotEq && of.quantifier == SetQuantifier::Any
}

/// As [`differs`], or `= ALL`, which is false there.
fn never_null_of_two(of: &SetComparison, schema: &DFSchema) -> Result<()> {
    let is_all = of.op == Operator::Eq && of.quantifier == SetQuantifier::All;
    if (differs(of) || is_all) && of.expr.nullable(schema)? {
        return plan_err!(
            "`<> ANY` and NOT … `= ALL` of a value that may be NULL are not on this engine: compare it with min and max of the subquery"
        );
    }
    Ok(())
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
