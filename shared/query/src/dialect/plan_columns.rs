//! Types that are not in an expression of a plan.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan};

use super::operands::{boolean, comparable};
use super::types::{self, is_utc};

/// What is not in an expression: predicates, keys of joins, and the columns of UNION and VALUES.
pub(super) fn check_plan(plan: &LogicalPlan, schema: &DFSchema) -> Result<()> {
    match plan {
        LogicalPlan::Filter(filter) => boolean(&filter.predicate.get_type(schema)?, "a condition"),
        LogicalPlan::Join(join) => {
            for (left, right) in &join.on {
                comparable("a join", &left.get_type(schema)?, &right.get_type(schema)?)?;
            }
            match &join.filter {
                Some(filter) => boolean(&filter.get_type(schema)?, "ON"),
                None => Ok(()),
            }
        }
        LogicalPlan::Union(union) => {
            let [first, others @ ..] = union.inputs.as_slice() else {
                return Ok(());
            };
            for other in others {
                let columns = first.schema().fields().iter().zip(other.schema().fields());
                for (one, other) in columns {
                    comparable("UNION", one.data_type(), other.data_type())?;
                }
            }
            Ok(())
        }
        LogicalPlan::Values(values) => {
            let columns = values.schema.fields().len();
            for column in 0..columns {
                let mut both = DataType::Null;
                for row in &values.values {
                    if let Some(value) = row.get(column) {
                        one_zone(value, schema)?;
                        both = comparable("VALUES", &both, &value.get_type(schema)?)?;
                    }
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The planner casts the values of a column to one type, and thereby times to one zone.
fn one_zone(value: &Expr, schema: &DFSchema) -> Result<()> {
    let Expr::Cast(Cast { expr, field }) = value else {
        return Ok(());
    };
    let zone = |given: &DataType| match given {
        DataType::Timestamp(_, Some(zone)) if !is_utc(zone) => Some(Arc::clone(zone)),
        _ => None,
    };
    let given = expr.get_type(schema)?;
    match types::is_time(&given) && zone(&given) != zone(field.data_type()) {
        true => plan_err!(
            "VALUES of several zones are not on this engine: write the times of a column in one zone"
        ),
        false => Ok(()),
    }
}
