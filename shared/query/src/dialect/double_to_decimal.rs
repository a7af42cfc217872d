//! Casts of doubles to decimals: Athena rounds the fewest digits that are the double, half away from zero; the engine
//! multiplies the double, and rounds the product.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, Decimal128Array};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::array_function::{ArrayFunction, first};

/// A cast of doubles to decimals of so many digits, of which so many after the point.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DoubleToDecimal {
    pub(super) precision: u8,
    pub(super) scale: i8,
    /// NULL instead of an error.
    pub(super) is_try: bool,
}

impl ArrayFunction for DoubleToDecimal {
    fn name(&self) -> &'static str {
        "double_to_decimal"
    }

    fn returns(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(self.precision, self.scale))
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let doubles = first(arrays)?.as_primitive::<Float64Type>();
        let mut decimals = Vec::with_capacity(doubles.len());
        for double in doubles {
            let decimal = double.map(|double| decimal(double, self.precision, self.scale));
            decimals.push(match decimal {
                Some(None) if !self.is_try => {
                    return exec_err!(
                        "{} is not a decimal({}, {}): TRY_CAST returns NULL instead",
                        double.unwrap_or_default(),
                        self.precision,
                        self.scale
                    );
                }
                decimal => decimal.flatten(),
            });
        }
        let decimals =
            Decimal128Array::from(decimals).with_precision_and_scale(self.precision, self.scale)?;
        Ok(Arc::new(decimals))
    }
}

/// The digits of the decimal, as one number; `None` if it has more than `precision`.
fn decimal(double: f64, precision: u8, scale: i8) -> Option<i128> {
    if !double.is_finite() {
        return None;
    }
    // As 1234e-2: at most 17 digits, which are as few as possible.
    let text = format!("{:e}", double.abs());
    let (digits, exponent) = text.split_once('e')?;
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let number: i128 = format!("{whole}{part}").parse().ok()?;
    let exponent: i64 = exponent.parse().ok()?;
    let shift = exponent - i64::try_from(part.len()).ok()? + i64::from(scale);
    let power = |by: i64| 10_i128.checked_pow(u32::try_from(by).ok()?);
    let rounded = match number {
        0 => 0,
        _ if shift >= 0 => number.checked_mul(power(shift)?)?,
        // The rest is less than half of the last digit if the power is too large.
        _ => power(-shift).map_or(0, |unit| {
            number / unit + i128::from(number % unit * 2 >= unit)
        }),
    };
    let fits = rounded < 10_i128.pow(u32::from(precision));
    fits.then_some(if double < 0.0 { -rounded } else { rounded })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_that_are_written_are_rounded() {
        let cases = [
            (1.005, 2, Some(101)),
            (-1.005, 2, Some(-101)),
            (0.285, 2, Some(29)),
            (1.0 / 3.0, 20, Some(33_333_333_333_333_330_000)),
            (1e22, 5, Some(10_i128.pow(27))),
            (0.005, 2, Some(1)),
            (0.0049, 2, Some(0)),
            (1e-300, 38, Some(0)),
            (-0.0, 2, Some(0)),
            (1e38, 0, None),
            (f64::NAN, 2, None),
            (f64::INFINITY, 2, None),
        ];
        for (double, scale, expected) in cases {
            assert_eq!(decimal(double, 38, scale), expected, "{double}");
        }
        assert_eq!(decimal(9.995, 3, 2), None);
        assert_eq!(decimal(9.994, 3, 2), Some(999));
    }
}
