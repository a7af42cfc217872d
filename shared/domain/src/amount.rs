//! Exact decimal amounts: a price is positive, a volume is not negative.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::nearest_double::nearest_double;
use crate::rounded::{RoundError, rounded};

/// Significant digits kept when a price is a quotient with no finite decimal form (18, one more
/// than a double can distinguish).
const QUOTIENT_DIGITS: u32 = 18;

/// The largest price or volume accepted: 10^21. A decimal holds 28 digits; the rest leaves room for
/// digits after the decimal point.
const AMOUNT_MAX: Decimal = Decimal::from_parts(0xDEA0_0000, 0x35C9_ADC5, 0x36, false, 0);

/// Why a number is not a valid price or volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// The text is not a decimal number, or has more than 28 digits.
    #[error("`{0}` is not a decimal number of at most 28 digits")]
    Unreadable(String),
    /// A price of zero or less.
    #[error("a price must be greater than 0, but it is {0}")]
    NotPositive(Decimal),
    /// A volume below zero.
    #[error("a volume must not be negative, but it is {0}")]
    Negative(Decimal),
    /// It would have to be rounded to fewer than 10 digits.
    #[error(
        "`{0}` has more decimals than are stored (28), and too few of its digits would be left: below \
         10^-19 a price is only stored if 28 decimals hold it exactly"
    )]
    TooSmall(String),
    /// Above 10^21.
    #[error("{0} is above 10^21, the largest amount")]
    TooLarge(String),
}

/// The price of one unit of the base in units of the quote: positive, exact, at most 10^21.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Price(Decimal);

/// An amount of the base: not negative, exact, at most 10^21.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Volume(Decimal);

impl Price {
    /// Takes a decimal as a price; trailing zeros are dropped.
    ///
    /// # Errors
    /// [`AmountError::NotPositive`] and [`AmountError::TooLarge`].
    pub fn new(value: Decimal) -> Result<Self, AmountError> {
        if value <= Decimal::ZERO {
            return Err(AmountError::NotPositive(value));
        }
        if value > AMOUNT_MAX {
            return Err(AmountError::TooLarge(value.to_string()));
        }
        Ok(Self(value.normalize()))
    }

    /// Reads a decimal text such as `39432.48` or `1.9e-5`.
    ///
    /// # Errors
    /// As [`Price::new`], and [`AmountError::Unreadable`].
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        Self::new(parse_decimal(text)?)
    }

    /// Reads a price that was computed as a double. Where a decimal does not hold all of its digits, it
    /// is rounded, half up, to 28 decimals and 28 digits; at least 10 digits are left, so that the
    /// stored price differs by at most 5 parts in 10^10.
    ///
    /// # Errors
    /// As [`Price::parse`], and [`AmountError::TooSmall`] for less than 10^-19 with more than 28
    /// decimals. Anything above 10^21 is [`AmountError::TooLarge`].
    pub fn parse_rounded(text: &str) -> Result<Self, AmountError> {
        let unreadable = match Self::parse(text) {
            Err(error @ AmountError::Unreadable(_)) => error,
            read => return read,
        };
        match rounded(text) {
            Ok(value) => Self::new(value),
            Err(RoundError::Unreadable) => Err(unreadable),
            Err(RoundError::TooSmall) => Err(AmountError::TooSmall(shown(text))),
            Err(RoundError::TooLarge) => Err(AmountError::TooLarge(shown(text))),
        }
    }

    /// The price at which `quote_amount` was paid for `base_amount`, rounded to 18 significant
    /// digits if the quotient has no finite decimal form. `None` if it is not a valid price (an
    /// amount of zero, or a quotient out of range).
    #[must_use]
    pub fn of_trade(base_amount: Decimal, quote_amount: Decimal) -> Option<Self> {
        let quotient = quote_amount.checked_div(base_amount)?;
        Self::new(quotient.round_sf(QUOTIENT_DIGITS)?).ok()
    }

    /// The exact value.
    #[must_use]
    pub fn decimal(self) -> Decimal {
        self.0
    }

    /// The nearest double, for averages, detectors and the archive's `double` column.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        nearest_double(self.0)
    }
}

impl Volume {
    /// Takes a decimal as a volume; trailing zeros are dropped.
    ///
    /// # Errors
    /// [`AmountError::Negative`] and [`AmountError::TooLarge`].
    pub fn new(value: Decimal) -> Result<Self, AmountError> {
        if value < Decimal::ZERO {
            return Err(AmountError::Negative(value));
        }
        if value > AMOUNT_MAX {
            return Err(AmountError::TooLarge(value.to_string()));
        }
        Ok(Self(value.normalize()))
    }

    /// Reads a decimal text such as `0.000263`.
    ///
    /// # Errors
    /// As [`Volume::new`], and [`AmountError::Unreadable`].
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        Self::new(parse_decimal(text)?)
    }

    /// The exact value.
    #[must_use]
    pub fn decimal(self) -> Decimal {
        self.0
    }

    /// The nearest double.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        nearest_double(self.0)
    }
}

/// Reads a decimal without rounding, in plain or scientific notation. The only sign allowed is `-`.
fn parse_decimal(text: &str) -> Result<Decimal, AmountError> {
    let unreadable = || AmountError::Unreadable(shown(text));
    let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E');
    if !text.bytes().all(plain) || text.starts_with('+') {
        return Err(unreadable());
    }
    let decimal = if text.contains(['e', 'E']) {
        exact_scientific(text).ok_or_else(unreadable)?
    } else {
        Decimal::from_str_exact(text).map_err(|_| unreadable())?
    };
    Ok(decimal)
}

/// The part of a number that a message repeats.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Reads scientific notation; `None` if the text is not in it or would have to be rounded.
fn exact_scientific(text: &str) -> Option<Decimal> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let mut decimal = Decimal::from_str_exact(mantissa).ok()?.normalize();
    let exponent: i32 = exponent.parse().ok()?;
    let scale = i64::from(decimal.scale()) - i64::from(exponent);
    if decimal.is_zero() {
        return Some(Decimal::ZERO);
    }
    match u32::try_from(scale) {
        Ok(scale) => decimal.set_scale(scale).ok()?,
        Err(_) => {
            decimal.set_scale(0).ok()?;
            let factor = 10_i128.checked_pow(u32::try_from(-scale).ok()?)?;
            decimal = decimal.checked_mul(Decimal::try_from_i128_with_scale(factor, 0).ok()?)?;
        }
    }
    Some(decimal)
}

macro_rules! as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = AmountError;
            fn try_from(text: String) -> Result<Self, AmountError> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(amount: $name) -> Self {
                amount.to_string()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}
as_text!(Price);
as_text!(Volume);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_amount_is_ten_to_the_twenty_one() {
        assert_eq!(AMOUNT_MAX.to_string(), "1000000000000000000000");
    }

    fn check(text: &str, expected: Result<&str, &str>) {
        let seen = Price::parse(text)
            .map(|p| p.to_string())
            .map_err(|e| e.to_string());
        match expected {
            Ok(price) => assert_eq!(seen.as_deref(), Ok(price), "{text}"),
            Err(part) => assert!(
                seen.clone().is_err_and(|e| e.contains(part)),
                "{text}: {seen:?}"
            ),
        }
    }

    #[test]
    fn prices_are_read_exactly_or_refused_with_the_rule() {
        check("39432.48", Ok("39432.48"));
        check("0.01914100", Ok("0.019141"));
        check("1.913e-05", Ok("0.00001913"));
        check("0", Err("greater than 0"));
        check("-1", Err("greater than 0"));
        check("NaN", Err("not a decimal"));
        check("1e400", Err("not a decimal"));
        check("1.5E3", Ok("1500"));
        check("1.5e+3", Ok("1500"));
        check("150e-1", Ok("15"));
        check("1.00e0", Ok("1"));
        check("0e9", Err("greater than 0"));
        check("1e", Err("not a decimal"));
        check("e5", Err("not a decimal"));
        check("1e5e5", Err("not a decimal"));
        check("1.2345678901234567890123456789012e5", Err("not a decimal"));
        check("1.234567890123456789012345678e-5", Err("not a decimal"));
        check("1e-2147483649", Err("not a decimal"));
        check("1e25", Err("10^21"));
        check("", Err("not a decimal"));
        check("0.12345678901234567890123456789012", Err("not a decimal"));
        check("1_000", Err("not a decimal"));
        check("+1", Err("not a decimal"));
    }

    #[test]
    fn a_double_is_rounded_or_refused_with_the_limit() {
        for (text, expected) in [
            ("147.4789340738336", "147.4789340738336"),
            ("1.2345678901234567e-13", "0.0000000000001234567890123457"),
            ("1e-28", "0.0000000000000000000000000001"),
        ] {
            assert_eq!(Price::parse_rounded(text).unwrap().to_string(), expected);
        }
        for (text, part) in [
            ("5e-324", "below 10^-19"),
            ("1.7976931348623157e308", "above 10^21"),
            ("1e22", "10^21"),
            ("0.0", "greater than 0"),
            ("-1.2345678901234567e-13", "not a decimal"),
        ] {
            let error = Price::parse_rounded(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_quotient_keeps_eighteen_digits() {
        let price = Price::of_trade(Decimal::from(3), Decimal::ONE).unwrap();
        assert_eq!(price.to_string(), "0.333333333333333333");
        assert_eq!(Price::of_trade(Decimal::ZERO, Decimal::ONE), None);
    }
}
