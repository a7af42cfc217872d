//! What Athena bills for a query.

use std::fmt;

use crate::size::Size;

/// Dollars for 10^12 bytes scanned (us-east-1, list price).
const DOLLARS_PER_TB: f64 = 5.0;

/// Athena rounds up to whole megabytes.
const MEGABYTE: u64 = 1_000_000;

/// The minimum that is billed for a query that reads data.
const BILLED_BYTES_MIN: u64 = 10 * MEGABYTE;

/// What is billed for a query: `1.2 GB billed, $0.0060`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bill {
    /// Bytes that are billed; 0 if nothing was read.
    pub(crate) bytes: u64,
}

impl Bill {
    /// For a failed query, for SHOW and EXPLAIN, and for a reused result.
    pub(crate) const NOTHING: Self = Self { bytes: 0 };

    /// For bytes that were scanned, whether the query ended or was stopped.
    pub(crate) fn of_scanned(bytes: u64) -> Self {
        if bytes == 0 {
            return Self::NOTHING;
        }
        let megabytes = bytes.div_ceil(MEGABYTE);
        Self {
            bytes: megabytes.saturating_mul(MEGABYTE).max(BILLED_BYTES_MIN),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a price needs no more than 15 digits"
    )]
    pub(crate) fn dollars(self) -> Dollars {
        Dollars(self.bytes as f64 / 1e12 * DOLLARS_PER_TB)
    }
}

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            0 => f.write_str("nothing billed"),
            bytes => write!(f, "{} billed, {}", Size(bytes), self.dollars()),
        }
    }
}

/// What a query had read when it was stopped, and its cost, if it has one.
pub(crate) fn had_read(scanned_bytes: u64, bill: Option<Bill>) -> String {
    let scanned = Size(scanned_bytes);
    match bill {
        Some(bill) => format!("it had read {scanned}: {bill}"),
        None => format!("it had read {scanned}"),
    }
}

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dollars(pub(crate) f64);

/// With cents; amounts below a dollar get more digits.
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
        let check = |scanned, expected| assert_eq!(Bill::of_scanned(scanned).bytes, expected);
        check(1, 10_000_000);
        check(10_000_000, 10_000_000);
        check(10_000_001, 11_000_000);
        check(2_500_000_000, 2_500_000_000);
        check(u64::MAX, u64::MAX);
    }

    #[test]
    fn amounts_show_their_digits() {
        let check = |bytes, expected: &str| {
            assert_eq!(Bill::of_scanned(bytes).dollars().to_string(), expected);
        };
        check(10_000_000, "$0.000050");
        check(2_500_000_000, "$0.0125");
        check(1_234_000_000_000, "$6.17");
    }

    #[test]
    fn what_reads_nothing_costs_nothing() {
        assert_eq!(Bill::of_scanned(0), Bill::NOTHING);
        assert_eq!(Bill::NOTHING.to_string(), "nothing billed");
        assert_eq!(Bill::NOTHING.dollars(), Dollars(0.0));
        assert_eq!(
            Bill::of_scanned(1_200_000_000).to_string(),
            "1.2 GB billed, $0.006000"
        );
    }
}
