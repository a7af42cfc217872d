//! CAST and TRY_CAST as on Athena: numbers are rounded, and texts are read and written in Athena's forms.

use std::sync::Arc;

use chrono::TimeZone as _;
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{ArrayRef, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::functions::math;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable as _, ScalarUDF, cast as cast_expr, try_cast};

use super::array_function::{ArrayFunction, first};
use super::double_to_decimal::DoubleToDecimal;
use super::from_text::FromText;
use super::to_text::ToText;
use super::types::{self, UTC, is_utc};
use crate::functions::timestamps::{epoch_ms, in_zone_years};
use crate::result_columns::type_name;

/// Functions that Java's library computes in another way than this machine's: of some numbers the last digit differs.
const OTHER_DIGITS: [&str; 12] = [
    "acos", "asin", "atan", "atan2", "cosh", "log10", "log2", "pow", "power", "sinh", "tan", "tanh",
];

/// Functions whose results have few digits.
const ROUNDING: [&str; 5] = ["ceil", "floor", "round", "sign", "truncate"];

/// A cast with Athena's meaning.
pub(super) fn cast_to(expr: Expr, to: &DataType, is_try: bool, schema: &DFSchema) -> Result<Expr> {
    let from = expr.get_type(schema)?;
    if !types::castable(&from, to) {
        return plan_err!("{} cannot be cast to {}", type_name(&from), type_name(to));
    }
    let plain = |expr, to: DataType| {
        if is_try {
            try_cast(expr, to)
        } else {
            cast_expr(expr, to)
        }
    };
    if let (DataType::Timestamp(fine, _), DataType::Timestamp(coarse, _)) = (&from, to)
        && fine != coarse
        && types::finer(*fine, *coarse)
    {
        return plan_err!("a cast to fewer digits of a second rounds on Athena: write date_trunc");
    }
    if types::is_text(to) && types::is_float(&from) {
        check_digits(&expr)?;
    }
    let is_integer = types::integer_digits(to).is_some();
    Ok(match to {
        _ if types::is_text(to) && (types::is_float(&from) || types::is_time(&from)) => {
            ToText { iso: false }.call(vec![expr])
        }
        _ if types::is_text(&from) && !types::is_text(to) && !types::is_bytes(to) => {
            let to = with_zone(to, &from);
            FromText { to, is_try }.call(vec![expr])
        }
        DataType::Decimal128(precision, scale) if types::is_float(&from) => {
            let (precision, scale) = (*precision, *scale);
            let cast = DoubleToDecimal {
                precision,
                scale,
                is_try,
            };
            cast.call(vec![expr])
        }
        _ if is_integer && types::is_float(&from) => plain(
            call(math::round(), vec![cast_expr(expr, DataType::Float64)]),
            to.clone(),
        ),
        _ if is_integer && matches!(from, DataType::Decimal128(..)) => {
            let whole = plain(expr, DataType::Decimal128(types::DIGITS_MAX, 0));
            AsItIs.call(vec![plain(whole, to.clone())])
        }
        _ if !matches!(expr, Expr::Literal(..))
            && types::is_number(&from)
            && (*to == DataType::Boolean
                || (types::exact(&from).is_some()
                    && types::exact(to).is_some()
                    && types::common(&from, to).as_ref() != Some(to))) =>
        {
            AsItIs.call(vec![plain(expr, to.clone())])
        }
        DataType::Timestamp(unit, Some(_)) => match &from {
            DataType::Timestamp(_, Some(_)) => plain(expr, with_zone(to, &from)),
            _ => plain(
                cast_expr(expr, DataType::Timestamp(*unit, None)),
                with_zone(to, &from),
            ),
        },
        DataType::Timestamp(..) | DataType::Date32 => plain(local(expr, &from), to.clone()),
        _ => plain(expr, to.clone()),
    })
}

/// Refuses the text of a result whose last digit is another one on Athena, unless it is rounded.
fn check_digits(number: &Expr) -> Result<()> {
    let calls = |expr: &Expr, names: &[&str]| matches!(expr, Expr::ScalarFunction(function) if names.contains(&function.name()));
    number.apply(|part| {
        // To some digits, a double is rounded by CASE.
        if calls(part, &ROUNDING)
            || (matches!(part, Expr::Case(_)) && part.exists(|part| Ok(calls(part, &ROUNDING)))?)
        {
            return Ok(TreeNodeRecursion::Jump);
        }
        match calls(part, &OTHER_DIGITS) {
            true => plan_err!(
                "the last digits of trigonometry, log2, log10 and power are other ones on Athena: write round(…, n) in the CAST"
            ),
            false => Ok(TreeNodeRecursion::Continue),
        }
    })?;
    Ok(())
}

/// The type with the zone of what is cast, or UTC.
fn with_zone(to: &DataType, from: &DataType) -> DataType {
    match (to, from) {
        (DataType::Timestamp(unit, Some(_)), DataType::Timestamp(_, Some(zone))) => {
            DataType::Timestamp(*unit, Some(Arc::clone(zone)))
        }
        (DataType::Timestamp(unit, Some(_)), _) => DataType::Timestamp(*unit, Some(UTC.into())),
        _ => to.clone(),
    }
}

/// A moment as date and time of day in its zone; anything else as it is.
pub(super) fn local(expr: Expr, given: &DataType) -> Expr {
    match given {
        DataType::Timestamp(_, Some(zone)) if !is_utc(zone) => Local.call(vec![expr]),
        DataType::Timestamp(unit, Some(_)) => cast_expr(expr, DataType::Timestamp(*unit, None)),
        _ => expr,
    }
}

/// A call of a function.
pub(super) fn call(function: Arc<ScalarUDF>, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
}

/// A cast that many numbers have in common: the optimizer would compare the number before it, and take it for the only one.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AsItIs;

impl ArrayFunction for AsItIs {
    fn name(&self) -> &'static str {
        "as_it_is"
    }

    fn returns(&self, given: &[DataType]) -> Result<DataType> {
        Ok(given.first().cloned().unwrap_or(DataType::Null))
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        first(arrays).cloned()
    }
}

/// Hides a value from the optimizer.
pub(super) fn as_it_is(value: Expr) -> Expr {
    AsItIs.call(vec![value])
}

/// Moments as date and time of day in their zone.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Local;

impl ArrayFunction for Local {
    fn name(&self) -> &'static str {
        "local_time"
    }

    fn returns(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Millisecond, None))
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let moments = first(arrays)?;
        let DataType::Timestamp(_, Some(zone)) = moments.data_type() else {
            return exec_err!("local_time takes a moment");
        };
        let rules: Tz = zone.parse()?;
        let local = |ms: i64| -> Result<i64> {
            let local = rules.from_utc_datetime(&in_zone_years(ms, zone)?);
            Ok(local.naive_local().and_utc().timestamp_millis())
        };
        let times = epoch_ms(moments)?;
        let times = times.iter().map(|ms| ms.map(local).transpose());
        let times: TimestampMillisecondArray = times.collect::<Result<_>>()?;
        Ok(Arc::new(times))
    }
}
