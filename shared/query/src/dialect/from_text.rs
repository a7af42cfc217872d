//! Texts as values of a type, in the forms that Athena reads.

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::array_function::{ArrayFunction, first};
use super::moments::{Moment, day};
use super::types::{self, is_utc};
use crate::result_columns::type_name;

/// More digits than a decimal has.
const ZEROS_MAX: usize = 80;

/// A cast from varchar, which with `is_try` is NULL where it fails.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FromText {
    pub(super) to: DataType,
    pub(super) is_try: bool,
}

impl ArrayFunction for FromText {
    fn name(&self) -> &'static str {
        "cast_from_varchar"
    }

    fn returns(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let texts = cast(first(arrays)?, &DataType::Utf8)?;
        let mut canonical = Vec::with_capacity(texts.len());
        for text in texts.as_string::<i32>() {
            canonical.push(
                match (text, text.and_then(|it| canonical_text(it, &self.to))) {
                    (Some(text), None) if !self.is_try => {
                        return exec_err!(
                            "'{text}' cannot be cast to {}: try_cast returns NULL instead",
                            type_name(&self.to)
                        );
                    }
                    (_, canonical) => canonical,
                },
            );
        }
        let options = CastOptions {
            safe: self.is_try,
            ..CastOptions::default()
        };
        let canonical = StringArray::from(canonical);
        Ok(cast_with_options(&canonical, &self.to, &options)?)
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
        DataType::Float64 => {
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

#[cfg(test)]
mod tests {
    use super::*;

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
