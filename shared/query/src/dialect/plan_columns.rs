//! Types that are not in an expression of a plan.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::common::{DFSchema, JoinConstraint, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::logical_plan::Join;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable as _, LogicalPlan};
use datafusion::scalar::ScalarValue;

use super::operands::{alike, boolean, comparable, groupable};
use super::set_operations::is_set_operation;
use super::types::{self, is_utc};
use crate::result_columns::type_name;

/// What is not in an expression: predicates, keys of joins, and the columns of VALUES.
pub(super) fn check_plan(plan: &LogicalPlan, schema: &DFSchema) -> Result<()> {
    match plan {
        LogicalPlan::Filter(filter) => boolean(&filter.predicate.get_type(schema)?, "a condition"),
        // Its columns have common types.
        LogicalPlan::Join(join) if is_set_operation(join) => {
            let mut fields = join.left.schema().fields().iter();
            fields.try_for_each(|field| groupable("EXCEPT and INTERSECT", field.data_type()))
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let mut fields = input.schema().fields().iter();
            fields.try_for_each(|field| groupable("DISTINCT and UNION", field.data_type()))
        }
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.iter().try_for_each(|key| {
            let keys = match key {
                Expr::GroupingSet(set) => set.distinct_expr(),
                key => vec![key],
            };
            let mut keys = keys.into_iter();
            keys.try_for_each(|key| groupable("GROUP BY", &key.get_type(schema)?))
        }),
        LogicalPlan::Join(join) => {
            for (left, right) in &join.on {
                let (left, right) = (left.get_type(schema)?, right.get_type(schema)?);
                alike("a join", &left, &right)?;
                if join.join_constraint == JoinConstraint::Using && !keeps_type(&left, &right) {
                    return plan_err!(
                        "a column of USING that is {} in one table and {} in the other is not on this engine: write ON, or CAST in a subquery",
                        type_name(&left),
                        type_name(&right)
                    );
                }
            }
            match &join.filter {
                Some(filter) => boolean(&filter.get_type(schema)?, "ON"),
                None => Ok(()),
            }
        }
        LogicalPlan::Values(values) => {
            let columns = values.schema.fields().len();
            for column in 0..columns {
                let mut both = DataType::Null;
                for row in &values.values {
                    if let Some(value) = row.get(column) {
                        cast_as_is(value, schema)?;
                        both = comparable("VALUES", &both, &value.get_type(schema)?)?;
                    }
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether a column has its own type if it is also that of another table in USING: Athena gives it the common one.
fn keeps_type(own: &DataType, other: &DataType) -> bool {
    let is_same = types::common(own, other).as_ref() == Some(own)
        || (types::is_text(own) && types::is_text(other))
        || (types::is_bytes(own) && types::is_bytes(other));
    is_same && types::is_orderable(own)
}

/// A join with USING as one with ON: the names of its columns are found, and its keys need not be columns.
pub(super) fn without_using(plan: LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Join(join) => LogicalPlan::Join(Join {
            join_constraint: JoinConstraint::On,
            ..join
        }),
        plan => plan,
    }
}

/// Refuses a recursive query whose columns change their types: the planner casts them to the first ones.
pub(super) fn check_recursion(plan: &LogicalPlan) -> Result<()> {
    let LogicalPlan::RecursiveQuery(query) = plan else {
        return Ok(());
    };
    // Athena takes rows away that it has already only in the end, and may go on with them until it fails.
    if query.is_distinct {
        return plan_err!(
            "UNION in a recursive query is not on this engine: write UNION ALL, and SELECT DISTINCT … FROM it"
        );
    }
    let schema = merge_schema(&query.recursive_term.inputs());
    for next in query.recursive_term.expressions() {
        if let Expr::Cast(Cast { expr, field }) = next.unalias()
            && let (given, to) = (expr.get_type(&schema)?, field.data_type())
            && !types::is_text(to)
            && types::common(&given, to).as_ref() != Some(to)
        {
            return plan_err!(
                "a recursive query begins with {} and goes on with {}: cast the first to it",
                type_name(to),
                type_name(&given)
            );
        }
    }
    let is_text = |expr: Expr| matches!(expr.unalias(), Expr::Literal(ScalarValue::Utf8(_), _));
    let has_text = |plan: &LogicalPlan| Ok(plan.expressions().into_iter().any(is_text));
    match query.static_term.exists(has_text)? {
        true => plan_err!(
            "the texts of a recursive query are as short as its first one: write CAST('…' AS varchar)"
        ),
        false => Ok(()),
    }
}

/// The planner casts the values of a column to one type, and thereby times to one zone and doubles to decimals.
fn cast_as_is(value: &Expr, schema: &DFSchema) -> Result<()> {
    let Expr::Cast(Cast { expr, field }) = value else {
        return Ok(());
    };
    let zone = |given: &DataType| match given {
        DataType::Timestamp(_, Some(zone)) if !is_utc(zone) => Some(Arc::clone(zone)),
        _ => None,
    };
    let given = expr.get_type(schema)?;
    if types::is_float(&given) {
        alike("VALUES", &given, field.data_type())?;
    }
    match types::is_time(&given) && zone(&given) != zone(field.data_type()) {
        true => plan_err!(
            "VALUES of several zones are not on this engine: write the times of a column in one zone"
        ),
        false => Ok(()),
    }
}
