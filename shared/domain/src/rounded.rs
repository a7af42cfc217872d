//! Decimals from numbers that have more digits than a decimal holds.

use rust_decimal::Decimal;

/// The most digits after the decimal point, and the most significant digits that always fit.
const DIGITS_MAX: i64 = 28;

/// The fewest significant digits that rounding leaves: it changes a number by at most 5 parts in 10^10.
const DIGITS_KEPT_MIN: i64 = 10;

/// Why a number cannot be rounded to a decimal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RoundError {
    /// Not a number without a sign.
    Unreadable,
    /// Above the largest decimal.
    TooLarge,
    /// Too few digits would be left.
    TooSmall,
}

/// Reads a number in plain or scientific notation, and rounds it, half up, to what a decimal holds.
pub(crate) fn rounded(text: &str) -> Result<Decimal, RoundError> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().map_err(|_| RoundError::Unreadable)?;
    let digits: String = [whole, fraction].concat();
    if whole.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(RoundError::Unreadable);
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(Decimal::ZERO);
    }
    let length = |text: &str| i64::try_from(text.len()).map_err(|_| RoundError::Unreadable);
    let count = length(digits)?;
    let scale = length(fraction)?.saturating_sub(exponent);
    let dropped = (count - DIGITS_MAX).max(scale - DIGITS_MAX).max(0);
    let kept = count - dropped;
    if dropped > 0 && kept < DIGITS_KEPT_MIN {
        return Err(RoundError::TooSmall);
    }
    let (kept, rest) = digits.split_at(usize::try_from(kept).map_err(|_| RoundError::TooSmall)?);
    let kept: i128 = kept.parse().map_err(|_| RoundError::Unreadable)?;
    let is_up = rest.bytes().next().is_some_and(|digit| digit >= b'5');
    let value = kept + i128::from(is_up);
    shifted(value, scale - dropped).ok_or(RoundError::TooLarge)
}

/// `value` × 10^-`scale`.
fn shifted(value: i128, scale: i64) -> Option<Decimal> {
    if let Ok(scale) = u32::try_from(scale) {
        return Decimal::try_from_i128_with_scale(value, scale).ok();
    }
    let factor = 10_i128.checked_pow(u32::try_from(scale.checked_neg()?).ok()?)?;
    Decimal::try_from_i128_with_scale(value.checked_mul(factor)?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, RoundError>) {
        let seen = rounded(text).map(|decimal| decimal.normalize().to_string());
        assert_eq!(seen, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn digits_beyond_a_decimal_are_rounded() {
        check("147.4789340738336", Ok("147.4789340738336"));
        check(
            "1.2345678901234567e-12",
            Ok("0.0000000000012345678901234567"),
        );
        check(
            "1.2345678901234567e-13",
            Ok("0.0000000000001234567890123457"),
        );
        check(
            "0.000000000000004321987654321098",
            Ok("0.0000000000000043219876543211"),
        );
        check("9.9999999999999999e-13", Ok("0.000000000001"));
        check("1.00000000050001e-19", Ok("0.0000000000000000001000000001"));
        check("1.5E+3", Ok("1500"));
        check("150e-1", Ok("15"));
        check("0.0e999999999", Ok("0"));
        check(
            "12345678901.23456789012345678901234567890",
            Ok("12345678901.23456789012345679"),
        );
        check(&format!("0.{}1", "9".repeat(40)), Ok("1"));
    }

    #[test]
    fn too_few_digits_are_left_below_ten_to_the_minus_nineteen() {
        check("9.87654321012e-20", Err(RoundError::TooSmall));
        check("5e-324", Err(RoundError::TooSmall));
        check("1e-9223372036854775807", Err(RoundError::TooSmall));
        // What 28 decimals hold exactly is not rounded.
        check("9.87654321e-20", Ok("0.0000000000000000000987654321"));
        check("1e-28", Ok("0.0000000000000000000000000001"));
        check("1e-29", Err(RoundError::TooSmall));
    }

    #[test]
    fn what_is_no_number_or_too_large_is_not_read() {
        check("1e400", Err(RoundError::TooLarge));
        check("1.7976931348623157e308", Err(RoundError::TooLarge));
        for text in [
            "",
            ".5",
            "-1",
            "+1",
            "1e",
            "e5",
            "1e5e5",
            "1_0",
            "1.2.3",
            "NaN",
            "1e-9223372036854775809",
        ] {
            check(text, Err(RoundError::Unreadable));
        }
    }
}
