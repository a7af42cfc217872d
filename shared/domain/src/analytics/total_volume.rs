//! The sum of volumes: it may exceed the largest volume of one tick.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{Volume, nearest_double};

/// Base units traded in many ticks: not negative.
///
/// Exact as long as the sum fits in 28 digits, before and after the decimal point together; further
/// digits are rounded. It saturates at about 7.9 × 10^28, the largest decimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TotalVolume(Decimal);

/// The text is not a valid total volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a decimal number of at most 28 digits that is 0 or more")]
pub struct TotalVolumeError(String);

impl TotalVolume {
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

    /// The sum of what is known: `None` if neither is.
    #[must_use]
    pub fn sum(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.plus(other)),
            (one, other) => one.or(other),
        }
    }

    /// The sum of two totals.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl From<Volume> for TotalVolume {
    fn from(volume: Volume) -> Self {
        Self(volume.decimal())
    }
}

impl TryFrom<String> for TotalVolume {
    type Error = TotalVolumeError;
    fn try_from(text: String) -> Result<Self, TotalVolumeError> {
        match Decimal::from_str_exact(&text) {
            Ok(total) if total >= Decimal::ZERO => Ok(Self(total)),
            Ok(_) | Err(_) => Err(TotalVolumeError(text.chars().take(40).collect())),
        }
    }
}

impl From<TotalVolume> for String {
    fn from(total: TotalVolume) -> Self {
        total.to_string()
    }
}

impl fmt::Display for TotalVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Sums keep the trailing zeros that their terms do not have.
        self.0.normalize().fmt(f)
    }
}

impl fmt::Debug for TotalVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(terms: &[&str], expected: &str) {
        let total = terms
            .iter()
            .map(|text| TotalVolume::from(Volume::parse(text).unwrap()))
            .fold(TotalVolume::default(), TotalVolume::plus);
        assert_eq!(total.to_string(), expected, "{terms:?}");
        let json = serde_json::to_string(&total).unwrap();
        assert_eq!(json, format!("\"{expected}\""));
        assert_eq!(serde_json::from_str::<TotalVolume>(&json).unwrap(), total);
    }

    #[test]
    fn totals_are_exact() {
        check(&[], "0");
        check(&["0", "0.000"], "0");
        check(&["0.1", "0.2"], "0.3");
        check(&["0.25", "0.75"], "1");
        check(&["999999999.999999999", "0.000000001"], "1000000000");
        let largest = "1000000000000000000000";
        check(&[largest, largest, "0.5"], "2000000000000000000000.5");
    }

    #[test]
    fn an_unknown_total_adds_nothing() {
        let known = |text: &str| Some(TotalVolume::from(Volume::parse(text).unwrap()));
        for (one, other, sum) in [
            (None, None, None),
            (known("0"), None, known("0")),
            (None, known("2"), known("2")),
            (known("1"), known("2"), known("3")),
        ] {
            assert_eq!(TotalVolume::sum(one, other), sum);
        }
    }

    #[test]
    fn a_total_saturates_at_the_largest_decimal() {
        let mut total = TotalVolume::from(Volume::parse("1e21").unwrap());
        for _ in 0..40 {
            total = total.plus(total);
        }
        assert_eq!(total.decimal(), Decimal::MAX);
        assert!(total.to_f64().is_finite());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["-1", "", "NaN", "1e3", "99999999999999999999999999999999"] {
            assert!(TotalVolume::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
