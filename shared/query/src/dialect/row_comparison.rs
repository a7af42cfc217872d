//! Comparisons of rows that are written out, as comparisons of their fields: the engine has NULL equal to itself.

use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{Expr, ExprSchemable as _, Operator, lit};

/// The expression for a comparison of rows, whose fields `compare` compares; `None` if it is one of other values.
pub(super) fn of_fields(
    binary: &BinaryExpr,
    schema: &DFSchema,
    compare: fn(Expr, Operator, Expr, &DFSchema) -> Result<Expr>,
) -> Result<Option<Expr>> {
    let (Some(ones), Some(others)) = (fields(&binary.left), fields(&binary.right)) else {
        return Ok(None);
    };
    let pairs = || ones.iter().cloned().zip(others.iter().cloned());
    let all_equal = || {
        let equals = pairs().map(|(one, other)| compare(one, Operator::Eq, other, schema));
        equals
            .reduce(|all, next| Ok(all?.and(next?)))
            .unwrap_or_else(|| Ok(lit(true)))
    };
    let (strict, or_equal) = match binary.op {
        Operator::Eq => return all_equal().map(Some),
        Operator::NotEq => return Ok(Some(Expr::Not(Box::new(all_equal()?)))),
        Operator::Lt | Operator::LtEq => (Operator::Lt, binary.op == Operator::LtEq),
        _ => (Operator::Gt, binary.op == Operator::GtEq),
    };
    for field in ones.iter().chain(others) {
        if field.nullable(schema)? {
            return plan_err!(
                "`{}` of rows with a field that may be NULL fails on Athena: compare their fields",
                binary.op
            );
        }
    }
    let mut result = lit(or_equal);
    for (one, other) in pairs().rev() {
        let equal = compare(one.clone(), Operator::Eq, other.clone(), schema)?;
        result = compare(one, strict, other, schema)?.or(equal.and(result));
    }
    Ok(Some(result))
}

/// The fields of `ROW(…)`.
pub(super) fn fields(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        // The planner calls it by the name that the statement has for it.
        Expr::Alias(alias) => fields(&alias.expr),
        Expr::ScalarFunction(function) if function.name() == "struct" => Some(&function.args),
        _ => None,
    }
}
