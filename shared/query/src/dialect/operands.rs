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
    let args = args.into_iter().zip(types);
    args.map(|(arg, (given, takes))| as_type(arg, given, takes))
        .collect()
}

pub(super) fn as_type(expr: Expr, given: &DataType, to: &DataType) -> Expr {
    match given == to {
        true => expr,
        false => datafusion::logical_expr::cast(expr, to.clone()),
    }
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

/// As [`comparable`], where the engine would make decimals of doubles.
pub(super) fn alike(place: &str, one: &DataType, other: &DataType) -> Result<()> {
    match mixes(one, other) {
        true => plan_err!(
            "{place} of a decimal and a double is not on this engine: write CAST(… AS double)"
        ),
        false => comparable(place, one, other).map(drop),
    }
}

/// Refuses a key if grouping by its type gives other groups than on Athena.
pub(super) fn groupable(place: &str, given: &DataType) -> Result<()> {
    of_parts(types::is_groupable(given), &format!("{place} of"), given)
}

/// Refuses a key if ordering by its type gives another order than on Athena, as of rows that contain NULL.
pub(super) fn orderable(place: &str, given: &DataType) -> Result<()> {
    of_parts(types::is_orderable(given), &format!("{place} by"), given)
}

fn of_parts(is_same: bool, what: &str, given: &DataType) -> Result<()> {
    match is_same {
        true => Ok(()),
        false => plan_err!(
            "{what} {} may give another result on Athena: use its parts as separate keys",
            type_name(given)
        ),
    }
}

/// Whether one is a decimal and the other a double, which Athena compares as doubles.
pub(super) fn mixes(one: &DataType, other: &DataType) -> bool {
    let is_decimal = |given: &DataType| matches!(given, DataType::Decimal128(..));
    (types::is_float(one) && is_decimal(other)) || (is_decimal(one) && types::is_float(other))
}

/// What to write where Athena does not convert by itself.
pub(super) fn advice(given: &DataType, wanted: &DataType) -> String {
    let in_zone =
        |it: &DataType| matches!(it, DataType::Timestamp(_, Some(zone)) if !types::is_utc(zone));
    if types::is_time(given) && types::is_time(wanted) && (in_zone(given) || in_zone(wanted)) {
        return ": write x AT TIME ZONE 'UTC' for the time in the other zone".to_owned();
    }
    match castable(given, wanted) {
        true => format!(": write CAST(… AS {})", type_name(wanted)),
        false => String::new(),
    }
}
