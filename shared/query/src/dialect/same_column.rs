//! The comparison that USING is.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ExprSchemable as _, Operator};

use super::array_function::ArrayFunction;
use super::operands::comparable;
use super::operator_types::compared;
use super::types;
use crate::result_columns::type_name;

/// The name of [`SameColumn`].
pub(super) const USING: &str = "__using";

/// Compares the columns of USING: the one that both become, and the other. [`compared_columns`] is what
/// runs in its place.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct SameColumn;

impl ArrayFunction for SameColumn {
    fn name(&self) -> &'static str {
        USING
    }

    fn returns(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn run(&self, _: &[ArrayRef]) -> Result<ArrayRef> {
        exec_err!("USING is a comparison")
    }
}

/// The comparison, if the column has the type that Athena gives it: the common one of both.
pub(super) fn compared_columns(one: Expr, other: Expr, schema: &DFSchema) -> Result<Expr> {
    let (given, others) = (one.get_type(schema)?, other.get_type(schema)?);
    let both = comparable("USING", &given, &others)?;
    let is_same = both == given
        || (types::is_text(&both) && types::is_text(&given))
        || (types::is_bytes(&both) && types::is_bytes(&given))
        || (types::is_integer(&both)
            && types::integer_digits(&both) == types::integer_digits(&given));
    match is_same {
        true => compared(one, Operator::Eq, other, schema),
        false => plan_err!(
            "a column of USING that is {} in one table and {} in the other is not on this engine: write ON, or CAST in a subquery",
            type_name(&given),
            type_name(&others)
        ),
    }
}
