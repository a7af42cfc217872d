//! Types that the planner wrote down outside of a schema, before the rule gave a plan Athena's: of columns of a statement
//! around a subquery, of VALUES, and, where a change is refused, of the variables of lambdas and of recursive queries.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema as _, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::logical_plan::{Subquery, Values};
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan};

use super::operands::{as_type, comparable};
use super::types;
use crate::result_columns::type_name;

/// A column of a statement around the expression's, with its type there.
pub(super) fn of_outer(expr: Expr, outer: &DFSchema) -> Expr {
    match expr {
        Expr::OuterReferenceColumn(field, column) => {
            let field = outer.field_from_column(&column).map_or(field, Arc::clone);
            Expr::OuterReferenceColumn(field, column)
        }
        expr => expr,
    }
}

/// As [`of_outer`], in a subquery's list of such columns.
pub(super) fn with_outer_types(plan: LogicalPlan, outer: &DFSchema) -> LogicalPlan {
    match plan {
        LogicalPlan::Subquery(inner) => {
            let columns = inner.outer_ref_columns.into_iter();
            LogicalPlan::Subquery(Subquery {
                outer_ref_columns: columns.map(|column| of_outer(column, outer)).collect(),
                ..inner
            })
        }
        plan => plan,
    }
}

/// Refuses a lambda whose variables have other types than the planner took them to have.
pub(super) fn check_lambdas(expr: &Expr, schema: &DFSchema) -> Result<()> {
    if !expr.exists(|expr| Ok(matches!(expr, Expr::HigherOrderFunction(_))))? {
        return Ok(());
    }
    let now = expr.clone().resolve_lambda_variables(schema)?.data;
    for (planned, now) in variables(expr)?.iter().zip(variables(&now)?) {
        if !is_same(planned, &now) {
            return plan_err!(
                "x of `x -> …` is {} here, but the planner took it for {}: cast the items of the array",
                type_name(&now),
                type_name(planned)
            );
        }
    }
    Ok(())
}

fn variables(expr: &Expr) -> Result<Vec<DataType>> {
    let mut types = Vec::new();
    expr.apply(|expr| {
        if let Expr::LambdaVariable(_) = expr {
            types.push(expr.get_type(&DFSchema::empty())?);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(types)
}

/// VALUES with the types of its values; other plans as they are, unless they rely on types that have changed.
pub(super) fn checked(plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Values(values) => of_values(values).map(LogicalPlan::Values),
        LogicalPlan::Join(join) => {
            for column in join.right.all_out_ref_exprs() {
                if let Expr::OuterReferenceColumn(planned, column) = column
                    && let Ok(now) = join.left.schema().field_from_column(&column)
                {
                    unchanged(&planned, now, "UNNEST of it")?;
                }
            }
            Ok(LogicalPlan::Join(join))
        }
        LogicalPlan::RecursiveQuery(query) => {
            let place = "a recursive query that goes on with it";
            let first = query.static_term.schema().fields();
            let same = |others: &Fields| {
                let mut pairs = first.iter().zip(others);
                pairs.try_for_each(|(first, other)| unchanged(other, first, place))
            };
            same(query.recursive_term.schema().fields())?;
            query.recursive_term.apply(|plan| {
                if let LogicalPlan::TableScan(scan) = plan
                    && scan.table_name.table() == query.name
                {
                    same(scan.source.schema().fields())?;
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
            Ok(LogicalPlan::RecursiveQuery(query))
        }
        plan => Ok(plan),
    }
}

fn unchanged(planned: &Field, now: &Field, place: &str) -> Result<()> {
    match is_same(planned.data_type(), now.data_type()) {
        true => Ok(()),
        false => plan_err!(
            "{} is {} here, but the planner took it for {} in {place}: write a CAST where the column is made",
            now.name(),
            type_name(now.data_type()),
            type_name(planned.data_type())
        ),
    }
}

/// The engine has several forms of a text, which it converts.
fn is_same(planned: &DataType, now: &DataType) -> bool {
    planned == now || (!types::is_timestamp(now) && type_name(planned) == type_name(now))
}

fn of_values(mut values: Values) -> Result<Values> {
    let none = DFSchema::empty();
    let mut fields = Vec::with_capacity(values.schema.fields().len());
    for (column, (relation, field)) in values.schema.iter().enumerate() {
        let mut both = DataType::Null;
        for value in values.values.iter().filter_map(|row| row.get(column)) {
            both = comparable("VALUES", &both, &value.get_type(&none)?)?;
        }
        let to = if types::is_number(&both) {
            &both
        } else {
            field.data_type()
        };
        let field = field.as_ref().clone().with_data_type(to.clone());
        fields.push((relation.cloned(), Arc::new(field)));
    }
    for row in &mut values.values {
        for (value, (_, field)) in row.iter_mut().zip(&fields) {
            let given = value.get_type(&none)?;
            if types::is_number(&given) {
                *value = as_type(value.clone(), &given, field.data_type());
            }
        }
    }
    let metadata = values.schema.inner().metadata().clone();
    values.schema = Arc::new(DFSchema::new_with_metadata(fields, metadata)?);
    Ok(values)
}
