//! UNION, INTERSECT and EXCEPT with Athena's types: a column has the common type of its branches. The engine would give
//! it that of the first branch, and convert the others after the expressions around are typed.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, JoinType, NullEquality, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::logical_plan::{Join, Projection, Union};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

use super::operands::{as_type, comparable};

/// The plan, with branches of one type if it is a set operation.
pub(super) fn with_common_types(plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Union(union) => {
            let types = common_types("UNION", &union.inputs)?;
            if let Some(first) = union.inputs.first() {
                different_names(first.schema())?;
            }
            let inputs = union.inputs.into_iter();
            let inputs = inputs.map(|input| converted(input, &types));
            Union::try_new(inputs.collect::<Result<_>>()?).map(LogicalPlan::Union)
        }
        LogicalPlan::Join(join) if is_set_operation(&join) => {
            let place = match join.join_type {
                JoinType::LeftSemi => "INTERSECT",
                _ => "EXCEPT",
            };
            let types = common_types(place, &[Arc::clone(&join.left), Arc::clone(&join.right)])?;
            let left = match join.left.as_ref() {
                // Different values may become one.
                LogicalPlan::Distinct(Distinct::All(input)) => {
                    let input = converted(Arc::clone(input), &types)?;
                    Arc::new(LogicalPlan::Distinct(Distinct::All(input)))
                }
                _ => converted(join.left, &types)?,
            };
            Join::try_new(
                left,
                converted(join.right, &types)?,
                join.on,
                join.filter,
                join.join_type,
                join.join_constraint,
                join.null_equality,
                join.null_aware,
            )
            .map(LogicalPlan::Join)
        }
        plan => Ok(plan),
    }
}

/// The planner gives columns of one name others.
fn different_names(schema: &DFSchema) -> Result<()> {
    let mut names = BTreeSet::new();
    for field in schema.fields() {
        if !names.insert(field.name()) {
            return plan_err!(
                "two columns of UNION have the name {}, which they cannot on this engine: write AS with another name",
                field.name()
            );
        }
    }
    Ok(())
}

/// Whether the join is an INTERSECT or EXCEPT: before the optimizer, only these are such joins.
pub(super) fn is_set_operation(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftAnti | JoinType::LeftSemi)
        && join.null_equality == NullEquality::NullEqualsNull
}

fn common_types(place: &str, branches: &[Arc<LogicalPlan>]) -> Result<Vec<DataType>> {
    let types = |branch: &LogicalPlan| {
        let fields = branch.schema().fields().iter();
        fields.map(|field| field.data_type().clone()).collect()
    };
    let mut common: Option<Vec<DataType>> = None;
    for branch in branches {
        let given: Vec<DataType> = types(branch);
        common = Some(match common {
            None => given,
            Some(common) => {
                let columns = common.iter().zip(&given);
                let both = columns.map(|(one, other)| comparable(place, one, other));
                both.collect::<Result<_>>()?
            }
        });
    }
    Ok(common.unwrap_or_default())
}

/// A branch whose columns have these types, under the same names.
fn converted(branch: Arc<LogicalPlan>, types: &[DataType]) -> Result<Arc<LogicalPlan>> {
    let schema: &DFSchema = branch.schema();
    let columns = schema.columns().into_iter().zip(schema.fields()).zip(types);
    let mut changes = false;
    let exprs = columns.map(|((column, field), to)| {
        if field.data_type() == to {
            return Expr::Column(column);
        }
        changes = true;
        let (relation, name) = (column.relation.clone(), column.name.clone());
        as_type(Expr::Column(column), field.data_type(), to).alias_qualified(relation, name)
    });
    let exprs = exprs.collect();
    if !changes {
        return Ok(branch);
    }
    Projection::try_new(exprs, branch).map(|branch| Arc::new(LogicalPlan::Projection(branch)))
}
