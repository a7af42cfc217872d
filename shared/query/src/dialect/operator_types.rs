//! Athena's types for operators, and comparisons by their parts where the engine compares in another way.

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Between, BinaryExpr, Case, InList, Like};
use datafusion::logical_expr::utils::disjunction;
use datafusion::logical_expr::{Expr, ExprSchemable as _, Operator, lit};

use super::arithmetic::{self, FINITE, may_be_nan};
use super::failing_constants::evaluated;
use super::nan;
use super::operands::{advice, alike, as_type, boolean, comparable, mixes};
use super::row_comparison;
use super::types;
use crate::result_columns::type_name;

/// Functions that literals are made of.
const FROM_LITERALS: [&str; 2] = ["concat", "struct"];

pub(super) fn of_like(like: Like, schema: &DFSchema) -> Result<Transformed<Expr>> {
    for operand in [&like.expr, &like.pattern] {
        let given = operand.get_type(schema)?;
        if !types::is_text(&given) && !given.is_null() {
            return plan_err!(
                "LIKE takes texts, not {}{}",
                type_name(&given),
                advice(&given, &DataType::Utf8)
            );
        }
    }
    Ok(Transformed::no(Expr::Like(like)))
}

pub(super) fn of_between(between: Between, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let given = between.expr.get_type(schema)?;
    let operands = [&between.expr, &between.low, &between.high];
    for bound in [&between.low, &between.high] {
        comparable("BETWEEN", &given, &bound.get_type(schema)?)?;
    }
    if nan::is_odd(&between.expr, schema)
        && between.expr.any_column_refs()
        && [&between.low, &between.high]
            .into_iter()
            .any(|bound| is_constantly_null(bound))
    {
        return plan_err!(
            "BETWEEN of a double that may be NaN and a bound that is always NULL may give another result on Athena: write >= and <="
        );
    }
    let is_double = |bound: &Expr| {
        bound
            .get_type(schema)
            .is_ok_and(|bound| mixes(&given, &bound))
    };
    if !operands
        .iter()
        .any(|operand| by_parts(operand, schema) || is_double(operand))
    {
        return Ok(Transformed::no(Expr::Between(between)));
    }
    let from = compared(
        (*between.expr).clone(),
        Operator::GtEq,
        *between.low,
        schema,
    )?;
    let both = from.and(compared(
        *between.expr,
        Operator::LtEq,
        *between.high,
        schema,
    )?);
    Ok(Transformed::yes(negated_if(between.negated, both)))
}

pub(super) fn of_in_list(list: InList, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let given = list.expr.get_type(schema)?;
    for item in &list.list {
        comparable("IN", &given, &item.get_type(schema)?)?;
    }
    // The engine does not evaluate the items after the one that is found.
    if !nan::is_odd(&list.expr, schema) && list.list.iter().any(may_fail) {
        return plan_err!(
            "IN takes no items computed from columns on this engine: write `=` and OR"
        );
    }
    if list.list.contains(&list.expr)
        && matches!(*list.expr, Expr::Column(_))
        && by_parts(&list.expr, schema)
    {
        return plan_err!(
            "x IN (x) is true on Athena even where x is NaN: leave it out of the items"
        );
    }
    // Trino's switch of numbers has no default for NULL.
    if list.list.len() > 2
        && !types::is_text(&given)
        && !types::is_float(&given)
        && list.list.iter().any(is_constantly_null)
    {
        return plan_err!("NULL among the items of IN has another meaning on Athena: leave it out");
    }
    let is_double = |item: &Expr| item.get_type(schema).is_ok_and(|item| mixes(&given, &item));
    let is_odd = |item: &Expr| is_double(item) || by_parts(item, schema);
    if !by_parts(&list.expr, schema) && !list.list.iter().any(is_odd) {
        return Ok(Transformed::no(Expr::InList(list)));
    }
    let equals = list.list.into_iter();
    let equals = equals.map(|item| compared((*list.expr).clone(), Operator::Eq, item, schema));
    let any = disjunction(equals.collect::<Result<Vec<_>>>()?).unwrap_or_else(|| lit(false));
    Ok(Transformed::yes(negated_if(list.negated, any)))
}

/// Whether it is a constant that is NULL, or cannot be computed.
fn is_constantly_null(expr: &Expr) -> bool {
    !expr.any_column_refs()
        && !expr.contains_outer()
        && evaluated(expr).map_or(true, |value| value.is_null())
}

/// Whether an item is computed from columns, or from constants and without a value.
fn may_fail(item: &Expr) -> bool {
    let may_fail = |part: &Expr| {
        let is_computed = match part {
            // DataFusion takes a CASE with an operand for a constant, although it has columns.
            Expr::BinaryExpr(_) | Expr::Case(_) => true,
            Expr::ScalarFunction(function) => !FROM_LITERALS.contains(&function.name()),
            _ => false,
        };
        let is_constant = !part.any_column_refs() && !part.contains_outer() && !part.is_volatile();
        Ok(is_computed && !(is_constant && evaluated(part).is_ok()))
    };
    item.exists(may_fail).unwrap_or(true)
}

/// Whether the engine's own comparison is another one: of rows, and of NaN, which it takes for the largest number.
fn by_parts(expr: &Expr, schema: &DFSchema) -> bool {
    match expr.get_type(schema) {
        Ok(DataType::Struct(_)) => true,
        Ok(given) => types::is_float(&given) && may_be_nan(expr, schema),
        Err(_) => false,
    }
}

pub(super) fn compared(one: Expr, op: Operator, other: Expr, schema: &DFSchema) -> Result<Expr> {
    let binary = BinaryExpr::new(Box::new(one), op, Box::new(other));
    of_binary(binary, schema).map(|compared| compared.data)
}

fn negated_if(negated: bool, expr: Expr) -> Expr {
    if negated {
        Expr::Not(Box::new(expr))
    } else {
        expr
    }
}

/// Refuses doubles that may be NaN where the engine takes NaN for equal to itself.
pub(super) fn finite(place: &str, expr: &Expr, field: &Field, schema: &DFSchema) -> Result<()> {
    let given = expr.get_type(schema)?;
    alike(place, &given, field.data_type())?;
    let may_be_nan = types::is_float(&given) && may_be_nan(expr, schema);
    if may_be_nan || (types::is_float(field.data_type()) && !field.metadata().contains_key(FINITE))
    {
        return plan_err!(
            "{place} of doubles that may be NaN is not on this engine: write a join, or compare with max or min"
        );
    }
    Ok(())
}

pub(super) fn of_binary(binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (left, right) = (
        binary.left.get_type(schema)?,
        binary.right.get_type(schema)?,
    );
    let op = binary.op;
    match op {
        Operator::And | Operator::Or => {
            boolean(&left, &op.to_string())?;
            boolean(&right, &op.to_string())?;
        }
        Operator::Eq
        | Operator::NotEq
        | Operator::Lt
        | Operator::LtEq
        | Operator::Gt
        | Operator::GtEq => {
            let both = comparable(&format!("`{op}`"), &left, &right)?;
            if let Some(fields) = row_comparison::of_fields(&binary, schema, compared)? {
                return Ok(Transformed::yes(fields));
            }
            if !types::is_orderable(&both) {
                return plan_err!(
                    "`{op}` of {} has another meaning on Athena: compare their parts",
                    type_name(&both)
                );
            }
            if types::is_float(&left) || types::is_float(&right) {
                return arithmetic::comparison(binary, schema);
            }
        }
        Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => {
            comparable("IS DISTINCT FROM", &left, &right)?;
            return arithmetic::in_doubles(binary, schema);
        }
        Operator::Plus
        | Operator::Minus
        | Operator::Multiply
        | Operator::Divide
        | Operator::Modulo => {
            return arithmetic::operation(binary, &left, &right);
        }
        Operator::StringConcat => {
            // NULL could be an array.
            if left.is_null() || right.is_null() {
                return plan_err!(
                    "`||` of NULL may be of texts or of arrays: write CAST(NULL AS varchar)"
                );
            }
            if !types::is_text(&left) || !types::is_text(&right) {
                return plan_err!(
                    "`||` takes two texts or two arrays, not {} and {}: write CAST(… AS varchar)",
                    type_name(&left),
                    type_name(&right)
                );
            }
        }
        _ => {}
    }
    Ok(Transformed::no(Expr::BinaryExpr(binary)))
}

pub(super) fn of_case(case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let operand = match &case.expr {
        Some(operand) => Some(operand.get_type(schema)?),
        None => None,
    };
    let (mut result, mut whens) = (DataType::Null, Vec::new());
    for (when, then) in &case.when_then_expr {
        let given = when.get_type(schema)?;
        whens.push(given.clone());
        match &operand {
            Some(_) if case.expr.as_ref() == Some(when) && when.any_column_refs() => {
                return plan_err!(
                    "CASE x WHEN x is true on Athena even where x is NULL: write CASE WHEN x = x"
                );
            }
            Some(operand) => drop(comparable("CASE", operand, &given)?),
            None => boolean(&given, "WHEN")?,
        }
        result = comparable("the results of CASE", &result, &then.get_type(schema)?)?;
    }
    if let Some(other) = &case.else_expr {
        result = comparable("the results of CASE", &result, &other.get_type(schema)?)?;
    }
    let typed = |expr: Box<Expr>| -> Result<_> {
        let given = expr.get_type(schema)?;
        Ok(Box::new(as_type(*expr, &given, &result)))
    };
    // The engine's own comparison has NaN equal to itself.
    let doubles = case
        .expr
        .as_ref()
        .filter(|_| operand.iter().chain(&whens).any(types::is_float));
    let condition = |when: Box<Expr>| match doubles {
        Some(operand) => compared((**operand).clone(), Operator::Eq, *when, schema).map(Box::new),
        None => Ok(when),
    };
    let when_then_expr = case.when_then_expr.into_iter();
    let when_then_expr = when_then_expr.map(|(when, then)| Ok((condition(when)?, typed(then)?)));
    let when_then_expr = when_then_expr.collect::<Result<_>>()?;
    Ok(Transformed::yes(Expr::Case(Case {
        expr: if doubles.is_some() { None } else { case.expr },
        when_then_expr,
        else_expr: case.else_expr.map(typed).transpose()?,
    })))
}
