//! `random(n)`: a whole number below n, of its type.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::functions::math;
use datafusion::logical_expr::{Expr, Operator, binary_expr, cast, lit, when};

use super::array_function::ArrayFunction;
use super::casts::call;
use super::types;
use crate::result_columns::type_name;

/// The name of [`RandomBelow`].
pub(super) const RANDOM_BELOW: &str = "__random";

/// What `random(n)` is until its type is known. [`below`] is what runs in its place.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct RandomBelow;

impl ArrayFunction for RandomBelow {
    fn name(&self) -> &'static str {
        RANDOM_BELOW
    }

    fn returns(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [bound] if types::is_integer(bound) => Ok(bound.clone()),
            [other] => plan_err!("random takes an integer, not {}", type_name(other)),
            _ => plan_err!("call it as random() or random(n)"),
        }
    }

    fn run(&self, _: &[ArrayRef]) -> Result<ArrayRef> {
        exec_err!("random(n) is an expression")
    }
}

/// The expression, which fails if nothing is below.
pub(super) fn below(bound: &Expr, given: &DataType) -> Result<Expr> {
    let (double, bigint) = (
        cast(bound.clone(), DataType::Float64),
        cast(bound.clone(), DataType::Int64),
    );
    let scaled = binary_expr(call(math::random(), Vec::new()), Operator::Multiply, double);
    let number = cast(call(math::floor(), vec![scaled]), given.clone());
    let nothing = binary_expr(bigint.clone(), Operator::Minus, bigint.clone());
    let failure = binary_expr(lit(1_i64), Operator::Divide, nothing);
    when(binary_expr(bigint, Operator::Gt, lit(0_i64)), number)
        .otherwise(cast(failure, given.clone()))
}
