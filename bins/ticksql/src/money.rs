//! What Athena bills for a query.

use std::fmt;

/// Dollars for 10^12 bytes scanned (us-east-1, list price).
const DOLLARS_PER_TB: f64 = 5.0;

/// Athena rounds up to whole megabytes.
const MEGABYTE: u64 = 1_000_000;

/// The least that a query which reads data is billed for.
const BILLED_BYTES_MIN: u64 = 10 * MEGABYTE;

/// The bytes that are billed for those scanned.
pub(crate) fn billed_bytes(scanned_bytes: u64) -> u64 {
    let megabytes = scanned_bytes.div_ceil(MEGABYTE);
    megabytes.saturating_mul(MEGABYTE).max(BILLED_BYTES_MIN)
}

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dollars(pub(crate) f64);

impl Dollars {
    /// The price of bytes that are billed.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a price needs no more than 15 digits"
    )]
    pub(crate) fn of_billed(bytes: u64) -> Self {
        Self(bytes as f64 / 1e12 * DOLLARS_PER_TB)
    }
}

/// With cents, and for less than a dollar with as many digits as it takes to see something.
impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            amount if amount >= 1.0 => write!(f, "${amount:.2}"),
            amount if amount >= 0.01 => write!(f, "${amount:.4}"),
            amount => write!(f, "${amount:.6}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn megabytes_are_billed_and_ten_at_least() {
        let check = |scanned, expected| assert_eq!(billed_bytes(scanned), expected);
        check(0, 10_000_000);
        check(10_000_000, 10_000_000);
        check(10_000_001, 11_000_000);
        check(2_500_000_000, 2_500_000_000);
        check(u64::MAX, u64::MAX);
    }

    #[test]
    fn amounts_show_their_digits() {
        let check = |bytes, expected: &str| {
            assert_eq!(Dollars::of_billed(bytes).to_string(), expected);
        };
        check(10_000_000, "$0.000050");
        check(2_500_000_000, "$0.0125");
        check(1_234_000_000_000, "$6.17");
    }
}
