//! Which ticks a rollout percentage admits to the stream. The choice is sticky and monotonic: all
//! ticks of the 1 % stage are also in the 10 % stage.
//!
//! The rule is published with test vectors, and is the same in Rust, shell and SQL: the first four
//! bytes of the SHA-256 of the key's UTF-8 text, as a big-endian number, modulo 10,000.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Rollout, RolloutKey, Tick};

/// The number of buckets, each a hundredth of a percent.
pub const COHORT_BUCKETS: u16 = 10_000;

/// The bucket of a key, 0 to 9,999.
#[must_use]
pub fn cohort_bucket(key: &str) -> u16 {
    let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    let [a, b, c, d, ..] = digest;
    let bucket = u32::from_be_bytes([a, b, c, d]) % u32::from(COHORT_BUCKETS);
    u16::try_from(bucket).unwrap_or_default()
}

impl Rollout {
    /// Whether a tick belongs to the cohort that goes to the stream.
    #[must_use]
    pub fn admits(&self, tick: &Tick) -> bool {
        if !self.use_kinesis || self.percentage == Percentage::ZERO {
            return false;
        }
        if self.percentage == Percentage::FULL {
            return true;
        }
        let bucket = match self.key {
            RolloutKey::Tick => cohort_bucket(&tick.tick_id.to_string()),
            RolloutKey::Token => cohort_bucket(tick.token.as_str()),
        };
        self.percentage.admits(bucket)
    }
}

/// A share from 0 to 100 percent in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percentage(u16);

/// The value is not a percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a percentage: a number from 0 to 100 with at most two decimals, such as 0, 1, 12.5 or 100"
)]
pub struct PercentageError(String);

impl Percentage {
    /// Nothing.
    pub const ZERO: Self = Self(0);
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
    use proptest::prelude::*;

    #[test]
    fn published_vectors() {
        // printf %s KEY | sha256sum | cut -c1-8 → hexadecimal, mod 10000
        for (key, bucket) in [
            ("", 2_610),
            ("a", 6_610),
            ("BTC", 4_695),
            ("So11111111111111111111111111111111111111112", 824),
        ] {
            assert_eq!(cohort_bucket(key), bucket, "{key}");
        }
    }

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

    proptest! {
        #[test]
        fn a_larger_share_holds_the_smaller_one(key in ".*", low in 0u16..=10_000, high in 0u16..=10_000) {
            let (low, high) = (Percentage(low.min(high)), Percentage(low.max(high)));
            let bucket = cohort_bucket(&key);
            prop_assert!(!low.admits(bucket) || high.admits(bucket));
            prop_assert!(Percentage::FULL.admits(bucket) && !Percentage::ZERO.admits(bucket));
        }
    }
}
