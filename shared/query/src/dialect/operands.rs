//! The types of operands and arguments, and the errors where Athena does not convert them.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ExprSchemable as _};

use super::types::{self, castable, common};
use crate::result_columns::type_name;

pub(super) fn types_of(args: &[Expr], schema: &DFSchema) -> Result<Vec<DataType>> {
    args.iter().map(|arg| arg.get_type(schema)).collect()
}

/// The arguments, cast where Athena converts them.
pub(super) fn converted(args: Vec<Expr>, given: &[DataType], takes: &[DataType]) -> Vec<Expr> {
    let types = given.iter().zip(takes);
    let cast = |(arg, (given, takes)): (Expr, (&DataType, &DataType))| match given == takes {
        true => arg,
        false => datafusion::logical_expr::cast(arg, takes.clone()),
    };
    args.into_iter().zip(types).map(cast).collect()
}

pub(super) fn as_type(expr: Expr, to: &DataType, schema: &DFSchema) -> Result<Expr> {
    Ok(match expr.get_type(schema)? == *to {
        true => expr,
        false => datafusion::logical_expr::cast(expr, to.clone()),
    })
}

pub(super) fn boolean(given: &DataType, place: &str) -> Result<()> {
    match types::is_boolean(given) {
        true => Ok(()),
        false => plan_err!(
            "{place} takes a boolean, not {}: write a comparison",
            type_name(given)
        ),
    }
}

pub(super) fn comparable(place: &str, one: &DataType, other: &DataType) -> Result<DataType> {
    match common(one, other) {
        Some(both) => Ok(both),
        None => plan_err!(
            "{place} cannot compare {} with {}{}",
            type_name(one),
            type_name(other),
            advice(other, one)
        ),
    }
}

/// What to write where Athena does not convert by itself.
pub(super) fn advice(given: &DataType, wanted: &DataType) -> String {
    match castable(given, wanted) {
        true => format!(": write CAST(… AS {})", type_name(wanted)),
        false => String::new(),
    }
}
