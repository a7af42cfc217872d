//! CAST and TRY_CAST as on Athena: numbers are rounded, and texts are read and written in Athena's forms.

use std::sync::Arc;

use chrono::{TimeZone as _, Utc};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use datafusion::common::{DFSchema, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::functions::math;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable as _, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, cast as cast_expr, try_cast,
};
use datafusion::scalar::ScalarValue;

use super::moments::{Moment, day};
use super::types::{self, UTC, is_utc};
use crate::functions::timestamps::civil;
use crate::result_columns::type_name;

/// More digits than a decimal has.
const ZEROS_MAX: usize = 80;

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
    let is_integer = types::integer_digits(to).is_some();
    Ok(match to {
        _ if types::is_text(to) && (types::is_float(&from) || types::is_time(&from)) => {
            call(Arc::new(ToText::udf(false)), vec![expr])
        }
        _ if types::is_text(&from) && !types::is_text(to) && !types::is_bytes(to) => {
            let to = with_zone(to, &from);
            call(FromText::udf(to, is_try), vec![expr])
        }
        _ if is_integer && types::is_float(&from) => plain(
            call(math::round(), vec![cast_expr(expr, DataType::Float64)]),
            to.clone(),
        ),
        _ if is_integer && matches!(from, DataType::Decimal128(..)) => {
            let whole = plain(expr, DataType::Decimal128(types::DIGITS_MAX, 0));
            plain(whole, to.clone())
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
        DataType::Timestamp(_, Some(zone)) if !is_utc(zone) => call(Local::udf(), vec![expr]),
        DataType::Timestamp(unit, Some(_)) => cast_expr(expr, DataType::Timestamp(*unit, None)),
        _ => expr,
    }
}

/// A call of a function.
pub(super) fn call(function: Arc<ScalarUDF>, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
}

/// Applies a function to arrays, also where all arguments are constants.
pub(crate) fn applied(
    args: &ScalarFunctionArgs,
    code: impl FnOnce(&[ArrayRef]) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let constant = args
        .args
        .iter()
        .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let arrays = ColumnarValue::values_to_arrays(&args.args)?;
    let result = code(&arrays)?;
    if constant && result.len() == 1 {
        return ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar);
    }
    Ok(ColumnarValue::Array(result))
}

pub(crate) fn first(arrays: &[ArrayRef]) -> Result<&ArrayRef> {
    match arrays.first() {
        Some(array) => Ok(array),
        None => exec_err!("an argument is missing"),
    }
}

/// `to_iso8601`
pub(crate) fn iso8601_function() -> ScalarUDF {
    ToText::udf(true)
}

/// Doubles and times as texts, times perhaps in ISO 8601.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToText {
    iso: bool,
    signature: Signature,
}

impl ToText {
    fn udf(iso: bool) -> ScalarUDF {
        let signature = Signature::any(1, Volatility::Immutable);
        ScalarUDF::from(Self { iso, signature })
    }
}

impl ScalarUDFImpl for ToText {
    fn name(&self) -> &'static str {
        if self.iso {
            "to_iso8601"
        } else {
            "cast_to_varchar"
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        applied(&args, |arrays| {
            let values = first(arrays)?;
            let day = DataType::Timestamp(TimeUnit::Second, None);
            let is_date = *values.data_type() == DataType::Date32;
            let values = &if is_date {
                cast(values, &day)?
            } else {
                Arc::clone(values)
            };
            let texts: StringArray = if let DataType::Timestamp(unit, zone) = values.data_type() {
                let shown = |count: i64| {
                    let mut text = moment_text(count, *unit, zone.as_deref(), self.iso)?;
                    if is_date {
                        text.truncate("2026-03-07".len());
                    }
                    Ok(text)
                };
                let counts = cast(values, &DataType::Int64)?;
                let counts = counts.as_primitive::<Int64Type>().iter();
                counts
                    .map(|count| count.map(shown).transpose())
                    .collect::<Result<_>>()?
            } else {
                let is_real = *values.data_type() == DataType::Float32;
                let doubles = cast(values, &DataType::Float64)?;
                let shown = |value: f64| double_text(value, is_real);
                let doubles = doubles.as_primitive::<Float64Type>();
                doubles.iter().map(|value| value.map(shown)).collect()
            };
            Ok(Arc::new(texts))
        })
    }
}

/// A double as Athena writes it: `1.0E10`.
pub(crate) fn double_text(value: f64, is_real: bool) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() {
            "-0E0"
        } else {
            "0E0"
        }
        .to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "it was a real")]
    let text = if is_real {
        format!("{:E}", value as f32)
    } else {
        format!("{value:E}")
    };
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

/// A time as Athena writes it, with the digits of its type.
fn moment_text(count: i64, unit: TimeUnit, zone: Option<&str>, iso: bool) -> Result<String> {
    let (ms, fraction) = match unit {
        TimeUnit::Second => (count.saturating_mul(1_000), ""),
        _ => (count, "%.3f"),
    };
    let utc = civil(ms)?.and_utc();
    let digits = format!("%Y-%m-%d{}%H:%M:%S{fraction}", if iso { 'T' } else { ' ' });
    let zone = zone.map(|zone| if is_utc(zone) { "UTC" } else { zone });
    Ok(match (zone, iso) {
        (None, _) => utc.format(&digits).to_string(),
        (Some("UTC"), true) => format!("{}Z", utc.format(&digits)),
        (Some(zone), _) => {
            let local = utc.with_timezone(&zone.parse::<Tz>()?);
            civil(local.naive_local().and_utc().timestamp_millis())?;
            match iso {
                true => local.format(&(digits + "%:z")).to_string(),
                false => format!("{} {zone}", local.format(&digits)),
            }
        }
    })
}

/// Texts as values of a type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FromText {
    to: DataType,
    is_try: bool,
    signature: Signature,
}

impl FromText {
    fn udf(to: DataType, is_try: bool) -> Arc<ScalarUDF> {
        let signature = Signature::any(1, Volatility::Immutable);
        Arc::new(ScalarUDF::from(Self {
            to,
            is_try,
            signature,
        }))
    }
}

impl ScalarUDFImpl for FromText {
    fn name(&self) -> &'static str {
        "cast_from_varchar"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        applied(&args, |arrays| {
            let texts = cast(first(arrays)?, &DataType::Utf8)?;
            let mut canonical = Vec::with_capacity(texts.len());
            for text in texts.as_string::<i32>() {
                canonical.push(
                    match text.map(|text| (text, canonical_text(text, &self.to))) {
                        None => None,
                        Some((_, Some(text))) => Some(text),
                        Some((_, None)) if self.is_try => None,
                        Some((text, None)) => {
                            return exec_err!(
                                "'{text}' cannot be cast to {}: try_cast returns NULL instead",
                                type_name(&self.to)
                            );
                        }
                    },
                );
            }
            let canonical = StringArray::from(canonical);
            let options = CastOptions {
                safe: self.is_try,
                ..CastOptions::default()
            };
            Ok(cast_with_options(&canonical, &self.to, &options)?)
        })
    }
}

/// The text in the form that the engine reads; `None` if Athena does not take it.
fn canonical_text(text: &str, to: &DataType) -> Option<String> {
    match to {
        DataType::Boolean => match text.to_lowercase().as_str() {
            "t" | "true" | "1" => Some("true".to_owned()),
            "f" | "false" | "0" => Some("false".to_owned()),
            _ => None,
        },
        DataType::Date32 => day(text.trim()).map(|day| day.to_string()),
        DataType::Timestamp(_, zone) => {
            let (local, own_zone) = Moment::parse(text)?.local();
            // A value keeps the zone of its text on Athena, and a column has one zone here.
            let fits = own_zone
                .as_deref()
                .is_none_or(|own| zone.is_none() || is_utc(own));
            let utc = fits.then_some(local)?;
            Some(utc.format("%Y-%m-%dT%H:%M:%S%.f").to_string())
        }
        DataType::Float64 | DataType::Float32 => {
            let text = text.trim();
            let is_number = matches!(text, "NaN" | "Infinity" | "-Infinity" | "+Infinity")
                || (text
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
                    && text.parse::<f64>().is_ok());
            is_number.then(|| text.replace("Infinity", "inf"))
        }
        DataType::Decimal128(..) => {
            let is_number = text
                .bytes()
                .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
            is_number.then(|| plain(text)).flatten()
        }
        to if types::integer_digits(to).is_some() => {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| text.strip_prefix('+').unwrap_or(text).to_owned())
        }
        _ => Some(text.to_owned()),
    }
}

/// A decimal without an exponent, which the engine does not read.
fn plain(text: &str) -> Option<String> {
    let Some((number, exponent)) = text.split_once(['e', 'E']) else {
        return Some(text.to_owned());
    };
    let exponent: isize = exponent.parse().ok()?;
    let digits = number.trim_start_matches(['-', '+']);
    let sign = if number.starts_with('-') { "-" } else { "" };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let zeros = "0".repeat(exponent.unsigned_abs().min(ZEROS_MAX));
    let (digits, point) = match exponent < 0 {
        true => (format!("{zeros}{whole}{fraction}"), whole.len()),
        false => {
            let point = whole.len() + zeros.len();
            (format!("{whole}{fraction}{zeros}"), point)
        }
    };
    let (whole, fraction) = digits.split_at_checked(point)?;
    let fraction = fraction
        .get(..usize::from(types::DIGITS_MAX))
        .unwrap_or(fraction);
    Some(format!("{sign}{whole}.{fraction}"))
}

/// Moments as date and time of day in their zone.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Local(Signature);

impl Local {
    fn udf() -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::from(Self(Signature::any(
            1,
            Volatility::Immutable,
        ))))
    }
}

impl ScalarUDFImpl for Local {
    fn name(&self) -> &'static str {
        "local_time"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [DataType::Timestamp(..)] => Ok(DataType::Timestamp(TimeUnit::Millisecond, None)),
            _ => plan_err!("local_time takes a moment"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        applied(&args, |arrays| {
            use datafusion::arrow::array::TimestampMillisecondArray;
            use datafusion::arrow::datatypes::TimestampMillisecondType;
            let moments = first(arrays)?;
            let DataType::Timestamp(_, Some(zone)) = moments.data_type() else {
                return exec_err!("local_time takes a moment");
            };
            let zone: Tz = zone.parse()?;
            let ms = cast(moments, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
            let shifted = |ms: i64| {
                let utc = Utc.timestamp_millis_opt(ms).earliest()?;
                Some(
                    utc.with_timezone(&zone)
                        .naive_local()
                        .and_utc()
                        .timestamp_millis(),
                )
            };
            let ms = ms.as_primitive::<TimestampMillisecondType>();
            let local: TimestampMillisecondArray =
                ms.iter().map(|ms| ms.and_then(shifted)).collect();
            Ok(Arc::new(local))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_on_athena() {
        let check = |value: f64, text: &str| assert_eq!(double_text(value, false), text);
        check(1.0, "1.0E0");
        check(1e10, "1.0E10");
        check(1e-12, "1.0E-12");
        check(0.1, "1.0E-1");
        check(-123.25, "-1.2325E2");
        check(0.0, "0E0");
        check(f64::NEG_INFINITY, "-Infinity");
        assert_eq!(double_text(f64::from(0.1_f32), true), "1.0E-1");
    }

    #[test]
    fn texts_are_read_as_on_athena() {
        let read = |text, to: DataType| canonical_text(text, &to);
        assert_eq!(read("T", DataType::Boolean).as_deref(), Some("true"));
        assert_eq!(read("yes", DataType::Boolean), None);
        assert_eq!(
            read("2026-3-7", DataType::Date32).as_deref(),
            Some("2026-03-07")
        );
        assert_eq!(read("1d", DataType::Float64), None);
        assert_eq!(read(" 1", DataType::Int64), None);
        assert_eq!(
            read("-Infinity", DataType::Float64).as_deref(),
            Some("-inf")
        );
    }
}
