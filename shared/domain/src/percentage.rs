//! A share in percent, with two decimals.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The number of buckets, each a hundredth of a percent.
pub const COHORT_BUCKETS: u16 = 10_000;

/// A share from 0 to 100 percent in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percentage(pub(crate) u16);

/// The value is not a percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a percentage: a number from 0 to 100 with at most two decimals, such as 0, 1, 12.5 or 100"
)]
pub struct PercentageError(String);

impl Percentage {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One percent.
    pub const ONE: Self = Self(COHORT_BUCKETS / 100);
    /// Everything.
    pub const FULL: Self = Self(COHORT_BUCKETS);

    /// Whether a bucket is admitted.
    #[must_use]
    pub fn admits(self, bucket: u16) -> bool {
        bucket < self.0
    }

    /// In hundredths of a percent, 0 to 10,000.
    #[must_use]
    pub fn basis_points(self) -> u16 {
        self.0
    }
}

impl FromStr for Percentage {
    type Err = PercentageError;

    /// Reads digits with at most two decimals. Signs, exponents and blanks are refused: an invalid
    /// value must never be taken for 0 or 100.
    fn from_str(text: &str) -> Result<Self, PercentageError> {
        let refused = || PercentageError(text.chars().take(20).collect());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(whole, 3) || !digits(fraction, 2) {
            return Err(refused());
        }
        // Three digits of percent may exceed 16 bits of basis points.
        let whole: u32 = whole.parse().map_err(|_| refused())?;
        let tens = if fraction.len() == 1 { 10 } else { 1 };
        let fraction: u32 = fraction.parse().map_err(|_| refused())?;
        u16::try_from(whole * 100 + fraction * tens)
            .ok()
            .filter(|points| *points <= COHORT_BUCKETS)
            .map(Self)
            .ok_or_else(refused)
    }
}

impl TryFrom<f64> for Percentage {
    type Error = PercentageError;
    fn try_from(value: f64) -> Result<Self, PercentageError> {
        // The shortest text of a double with two decimals has two decimals.
        value.to_string().parse()
    }
}

impl From<Percentage> for f64 {
    fn from(percentage: Percentage) -> Self {
        f64::from(percentage.0) / 100.0
    }
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f64::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_or_refused() {
        for (text, points) in [
            ("0", 0),
            ("1", 100),
            ("12.5", 1_250),
            ("0.01", 1),
            ("100", 10_000),
            ("100.00", 10_000),
        ] {
            assert_eq!(
                text.parse::<Percentage>().map(Percentage::basis_points),
                Ok(points),
                "{text}"
            );
        }
        for text in [
            "", "-1", "101", "656", "660", "999.99", "100.01", "1e2", " 1", "1 ", "ten", "0.001",
            "1.", ".5", "NaN", "+1", "1,5",
        ] {
            assert!(text.parse::<Percentage>().is_err(), "{text}");
        }
        for value in [f64::NAN, f64::INFINITY, -1.0, 100.5, 0.001] {
            assert!(Percentage::try_from(value).is_err(), "{value}");
        }
        assert_eq!(
            Percentage::try_from(33.33).map(Percentage::basis_points),
            Ok(3_333)
        );
    }
}
