//! What a key of ORDER BY or GROUP BY is made of.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Value, visit_expressions};

use crate::ast_names::lower;

/// An expression without the parentheses around it.
pub(super) fn without_parentheses(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => without_parentheses(inner),
        expr => expr,
    }
}

/// Whether it is the place of a result, such as 1.
pub(super) fn is_place(key: &Expr) -> bool {
    matches!(key, Expr::Value(value) if is_count(&value.value))
}

/// Whether it is a number of rows or a place: digits, or a parameter.
pub(super) fn is_count(value: &Value) -> bool {
    matches!(value, Value::Number(digits, _) if digits.bytes().all(|b| b.is_ascii_digit()))
        || matches!(value, Value::Placeholder(_))
}

/// The names without a table in an expression, in lower case.
pub(super) fn identifiers(expr: &Expr) -> Vec<String> {
    let mut names = Vec::new();
    let visited = visit_expressions(expr, |expr| {
        if let Expr::Identifier(name) = expr {
            names.push(lower(name));
        }
        ControlFlow::<()>::Continue(())
    });
    debug_assert!(visited.is_continue());
    names
}
