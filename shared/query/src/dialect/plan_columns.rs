//! Types that are not in an expression of a plan.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::{ExprSchemable as _, LogicalPlan};

use super::operands::{boolean, comparable};

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
                        both = comparable("VALUES", &both, &value.get_type(schema)?)?;
                    }
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
