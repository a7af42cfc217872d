//! Operators with Athena's results: integers do not wrap around, decimals keep their scale, and a NaN equals nothing.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, Decimal128Array};
use datafusion::arrow::compute::kernels::numeric::{add, mul, sub};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type, IntervalUnit, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ExprSchema as _, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, Cast};
use datafusion::logical_expr::{
    Expr, ExprSchemable as _, Operator, binary_expr, cast as cast_expr,
};
use datafusion::scalar::ScalarValue;

use super::array_function::ArrayFunction;
use super::operands::{as_type, mixes};
use super::types::{self, is_utc};
use crate::result_columns::type_name;

/// In the metadata of a column of doubles that are never NaN or infinite, since the archive has no such prices.
pub(crate) const FINITE: &str = "finite";

/// `+`, `-`, `*`, `/` or `%`.
pub(super) fn operation(
    binary: BinaryExpr,
    left: &DataType,
    right: &DataType,
) -> Result<Transformed<Expr>> {
    let BinaryExpr {
        left: one,
        op,
        right: other,
    } = binary;
    let (one, other) = (*one, *other);
    let same = |one, other| Ok(Transformed::no(binary_expr(one, op, other)));
    if left.is_null() && right.is_null() {
        return plan_err!("`{op}` of two NULLs has no type: write CAST(NULL AS bigint)");
    }
    if left.is_null() || right.is_null() {
        let known = if left.is_null() { right } else { left };
        // The NULL may be a number or an interval.
        let may_be_interval = match op {
            Operator::Multiply => matches!(known, DataType::Int64 | DataType::Float64),
            Operator::Divide => left.is_null() && types::is_float(known),
            _ => !types::is_number(known),
        };
        if may_be_interval {
            let known = type_name(known);
            return plan_err!(
                "`{op}` of NULL and {known} may be of several types: write the NULL as CAST(NULL AS type)"
            );
        }
        return same(one, other);
    }
    if types::is_number(left) && types::is_number(right) {
        return numbers(one, op, other, left, right);
    }
    if types::is_time(left)
        && types::is_time(right)
        && op == Operator::Minus
        && let Some(DataType::Timestamp(_, zone)) = types::common(left, right).map(|both| {
            if both == DataType::Date32 {
                ms(None)
            } else {
                both
            }
        })
    {
        let (one, other) = (cast_expr(one, ms(zone.clone())), cast_expr(other, ms(zone)));
        let interval = DataType::Interval(IntervalUnit::MonthDayNano);
        let difference = binary_expr(one, op, other);
        return Ok(Transformed::yes(cast_expr(difference, interval)));
    }
    let (time, interval) = match types::is_interval(left) {
        true => (right, &one),
        false => (left, &other),
    };
    let shifts = types::is_time(time)
        && (types::is_interval(right) || (types::is_interval(left) && op == Operator::Plus));
    if !matches!(op, Operator::Plus | Operator::Minus) || !shifts {
        let instead = match op {
            _ if types::is_time(left) => "write INTERVAL '1' DAY or date_add('day', 1, x)",
            _ => "write CAST",
        };
        return plan_err!(
            "`{op}` is not for {} and {}: {instead}",
            type_name(left),
            type_name(right)
        );
    }
    let of_days = matches!(interval, Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(of)), _) if of.nanoseconds == 0);
    if *time == DataType::Date32 && !of_days {
        return plan_err!(
            "only days, months and years, written as a constant, can be added to a date: cast it to timestamp"
        );
    }
    // Adding days or seconds gives milliseconds, even to a timestamp(0). Adding months keeps the type.
    let of_months = matches!(interval, Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(of)), _) if of.months != 0);
    if matches!(time, DataType::Timestamp(TimeUnit::Second, _))
        && !matches!(interval, Expr::Literal(..) | Expr::Cast(_))
    {
        return plan_err!(
            "the number of digits of this sum depends on the unit of the interval: cast the time to timestamp"
        );
    }
    let in_ms = |expr: Expr, given: &DataType| match given {
        DataType::Timestamp(TimeUnit::Second, zone) if !of_months => {
            cast_expr(expr, ms(zone.clone()))
        }
        _ => expr,
    };
    if let DataType::Timestamp(_, Some(zone)) = time
        && !is_utc(zone)
    {
        return plan_err!(
            "an interval and a time in a zone have another sum on Athena where clocks change: add it in UTC"
        );
    }
    Ok(Transformed::yes(binary_expr(
        in_ms(one, left),
        op,
        in_ms(other, right),
    )))
}

fn ms(zone: Option<Arc<str>>) -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, zone)
}

fn numbers(
    one: Expr,
    op: Operator,
    other: Expr,
    left: &DataType,
    right: &DataType,
) -> Result<Transformed<Expr>> {
    if types::is_float(left) || types::is_float(right) {
        return Ok(Transformed::no(binary_expr(one, op, other)));
    }
    let (Some((precision, scale)), Some((other_precision, other_scale))) =
        (types::exact(left), types::exact(right))
    else {
        return Ok(Transformed::no(binary_expr(one, op, other)));
    };
    let decimals = types::integer_digits(left).is_none() || types::integer_digits(right).is_none();
    if !decimals {
        let Some(both) = types::common(left, right) else {
            return plan_err!(
                "`{op}` is not for {} and {}",
                type_name(left),
                type_name(right)
            );
        };
        let (one, other) = (as_type(one, left, &both), as_type(other, right, &both));
        return Ok(Transformed::yes(match op {
            Operator::Plus | Operator::Minus | Operator::Multiply => {
                Exact { op, returns: both }.call(vec![one, other])
            }
            _ => binary_expr(one, op, other),
        }));
    }
    let exact = |expr, given: &DataType, precision, scale| {
        as_type(expr, given, &DataType::Decimal128(precision, scale))
    };
    let (one, other) = (
        exact(one, left, precision, scale),
        exact(other, right, other_precision, other_scale),
    );
    let both = scale.max(other_scale);
    let whole = (precision.cast_signed() - scale).max(other_precision.cast_signed() - other_scale);
    let returns = match op {
        Operator::Modulo => return Ok(Transformed::yes(binary_expr(one, op, other))),
        Operator::Divide => {
            let digits = precision.cast_signed() + other_scale + (other_scale - scale).max(0);
            types::decimal(digits, both)
        }
        Operator::Multiply if scale + other_scale > types::DIGITS_MAX.cast_signed() => {
            return plan_err!(
                "the result of `{op}` has more than 38 digits: cast to double, or to fewer digits"
            );
        }
        Operator::Multiply => {
            let digits = (precision + other_precision).cast_signed();
            types::decimal(digits, scale + other_scale)
        }
        _ => types::decimal(whole + both + 1, both),
    };
    Ok(Transformed::yes(
        Exact { op, returns }.call(vec![one, other]),
    ))
}

/// Operators on exact numbers that fail where the result does not fit.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    op: Operator,
    returns: DataType,
}

impl ArrayFunction for Exact {
    fn name(&self) -> &'static str {
        match self.op {
            Operator::Plus => "add",
            Operator::Minus => "subtract",
            Operator::Multiply => "multiply",
            _ => "divide",
        }
    }

    fn returns(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let [one, other] = arrays else {
            return exec_err!("an operator has two arguments");
        };
        match self.op {
            _ if matches!(self.returns, DataType::Decimal128(..)) => self.of_decimals(one, other),
            Operator::Plus => Ok(add(one, other)?),
            Operator::Minus => Ok(sub(one, other)?),
            _ => Ok(mul(one, other)?),
        }
    }
}

impl Exact {
    fn of_decimals(&self, one: &ArrayRef, other: &ArrayRef) -> Result<ArrayRef> {
        let (
            DataType::Decimal128(precision, scale),
            DataType::Decimal128(_, one_scale),
            DataType::Decimal128(_, other_scale),
        ) = (&self.returns, one.data_type(), other.data_type())
        else {
            return exec_err!("the operands are not decimals");
        };
        // Powers of ten by which both become numbers of one unit, or of one that the operator leaves as it is.
        let (shift, other_shift) = match self.op {
            Operator::Multiply => (0, 0),
            Operator::Divide => (other_scale + scale - one_scale, 0),
            _ => (scale - one_scale, scale - other_scale),
        };
        let by = |shift: i8| 10_i128.checked_pow(u32::from(shift.cast_unsigned()));
        let (by, other_by) = (by(shift), by(other_shift));
        let most = 10_u128.pow(u32::from(*precision));
        let result = |one: i128, other: i128| {
            let (one, other) = (one.checked_mul(by?)?, other.checked_mul(other_by?)?);
            let result = match self.op {
                Operator::Plus => one.checked_add(other),
                Operator::Minus => one.checked_sub(other),
                Operator::Multiply => one.checked_mul(other),
                _ => Some(rounded_quotient(one, other)),
            };
            result.filter(|result| result.unsigned_abs() < most)
        };
        let (one, other) = (
            one.as_primitive::<Decimal128Type>(),
            other.as_primitive::<Decimal128Type>(),
        );
        let mut results = Vec::with_capacity(one.len());
        for (one, other) in one.iter().zip(other) {
            let (Some(one), Some(other)) = (one, other) else {
                results.push(None);
                continue;
            };
            if self.op == Operator::Divide && other == 0 {
                return exec_err!("division by zero");
            }
            match result(one, other) {
                Some(result) => results.push(Some(result)),
                None => return exec_err!("a decimal has at most 38 digits: cast to double"),
            }
        }
        let results =
            Decimal128Array::from(results).with_precision_and_scale(*precision, *scale)?;
        Ok(Arc::new(results))
    }
}

/// Rounds half away from zero.
fn rounded_quotient(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend / divisor, dividend % divisor);
    let rounds = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
    let away = if (dividend < 0) == (divisor < 0) {
        1
    } else {
        -1
    };
    if rounds && rest != 0 {
        quotient + away
    } else {
        quotient
    }
}

/// A comparison of doubles of which one may be NaN.
pub(super) fn comparison(binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if !may_be_nan(&binary.left, schema) && !may_be_nan(&binary.right, schema) {
        return in_doubles(binary, schema);
    }
    let double = |expr: Box<Expr>| cast_expr(*expr, DataType::Float64);
    let args = vec![double(binary.left), double(binary.right)];
    Ok(Transformed::yes(Compare(binary.op).call(args)))
}

/// The engine would compare a decimal and a double as decimals.
pub(super) fn in_doubles(binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let BinaryExpr { left, op, right } = binary;
    let (one, other) = (left.get_type(schema)?, right.get_type(schema)?);
    if !mixes(&one, &other) {
        return Ok(Transformed::no(binary_expr(*left, op, *right)));
    }
    let double = |expr, given: &DataType| as_type(expr, given, &DataType::Float64);
    let (left, right) = (double(*left, &one), double(*right, &other));
    Ok(Transformed::yes(binary_expr(left, op, right)))
}

/// Whether the value of an expression may be NaN.
pub(super) fn may_be_nan(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(value)), _) => value.is_nan(),
        Expr::Literal(..) => false,
        Expr::Alias(alias) => may_be_nan(&alias.expr, schema),
        // -0 is no more like the engine's other numbers than NaN.
        Expr::Negative(inner) => {
            !is_written_out(inner, |number| number != 0.0 && number.is_finite())
        }
        Expr::Cast(Cast { expr, .. }) => {
            expr.get_type(schema)
                .map_or(true, |given| types::is_float(&given))
                && may_be_nan(expr, schema)
        }
        Expr::ScalarFunction(function) if function.name() == "cast_from_varchar" => {
            !is_written_out(expr, f64::is_finite)
        }
        Expr::Column(column) => match schema.field_from_column(column) {
            Ok(field) => {
                types::is_float(field.data_type()) && !field.metadata().contains_key(FINITE)
            }
            Err(_) => true,
        },
        Expr::OuterReferenceColumn(field, _) => {
            types::is_float(field.data_type()) && !field.metadata().contains_key(FINITE)
        }
        other => other
            .get_type(schema)
            .map_or(true, |given| types::is_float(&given)),
    }
}

/// Whether it is a number that is written out, and of a kind.
fn is_written_out(expr: &Expr, is_kind: fn(f64) -> bool) -> bool {
    match expr {
        Expr::ScalarFunction(function) => match function.args.as_slice() {
            [Expr::Literal(ScalarValue::Utf8(Some(text)), _)] => text.parse().is_ok_and(is_kind),
            _ => false,
        },
        _ => false,
    }
}

/// A comparison by IEEE 754; the engine's has NaN as the largest number, equal to itself.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Compare(Operator);

impl ArrayFunction for Compare {
    fn name(&self) -> &'static str {
        "compare"
    }

    fn returns(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let compare = match self.0 {
            Operator::Eq => |one: f64, other: f64| one == other,
            Operator::NotEq => |one: f64, other: f64| one != other,
            Operator::Lt => |one: f64, other: f64| one < other,
            Operator::LtEq => |one: f64, other: f64| one <= other,
            Operator::Gt => |one: f64, other: f64| one > other,
            _ => |one: f64, other: f64| one >= other,
        };
        let [one, other] = arrays else {
            return exec_err!("a comparison has two arguments");
        };
        let others = other.as_primitive::<Float64Type>();
        let pairs = one.as_primitive::<Float64Type>().iter().zip(others);
        let results: BooleanArray = pairs
            .map(|(one, other)| Some(compare(one?, other?)))
            .collect();
        Ok(Arc::new(results))
    }
}
