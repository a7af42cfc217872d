//! Positions in a shard of the stream.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Decimal digits in the lower part of a sequence number.
const LOW_DIGITS: usize = 38;

/// The end of the lower part.
const LOW_END: u128 = 10_u128.pow(38);

/// The most decimal digits of a sequence number; those of Kinesis have 56.
const DIGITS_MAX: usize = LOW_DIGITS + 19;

/// A position in a shard of the stream; later records have larger ones. It can hold the 56 decimal
/// digits of Kinesis as well as a plain count.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct SequenceNumber {
    /// The digits before the last 38.
    high: u64,
    /// The last 38 digits.
    low: u128,
}

/// The text is not a sequence number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sequence number, which has 1 to {DIGITS_MAX} decimal digits")]
pub struct SequenceNumberError(String);

impl SequenceNumber {
    /// Before the first record.
    pub const START: Self = Self { high: 0, low: 0 };

    /// The plain count that the embedded stream uses; `u64::MAX` if the number is larger.
    #[must_use]
    pub fn count(self) -> u64 {
        match self.high {
            0 => u64::try_from(self.low).unwrap_or(u64::MAX),
            _ => u64::MAX,
        }
    }

    /// The number after this one, whether or not there is a record with it.
    #[must_use]
    pub fn next(self) -> Self {
        match self.low.checked_add(1) {
            Some(low) if low < LOW_END => Self { low, ..self },
            _ => Self {
                high: self.high.saturating_add(1),
                low: 0,
            },
        }
    }

    /// All digits with leading zeros, so the texts sort like the numbers.
    #[must_use]
    pub fn padded(self) -> String {
        format!("{:019}{:038}", self.high, self.low)
    }

    /// 24 bytes that sort like the numbers.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let (high, low) = bytes.split_at_mut(8);
        high.copy_from_slice(&self.high.to_be_bytes());
        low.copy_from_slice(&self.low.to_be_bytes());
        bytes
    }

    /// The number of [`SequenceNumber::to_bytes`]; `None` if they are not such bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (high, low) = bytes.split_first_chunk()?;
        Some(Self {
            high: u64::from_be_bytes(*high),
            low: u128::from_be_bytes(low.try_into().ok()?),
        })
    }
}

impl From<u64> for SequenceNumber {
    fn from(count: u64) -> Self {
        Self {
            high: 0,
            low: count.into(),
        }
    }
}

impl FromStr for SequenceNumber {
    type Err = SequenceNumberError;

    fn from_str(text: &str) -> Result<Self, SequenceNumberError> {
        let refused = || SequenceNumberError(text.chars().take(DIGITS_MAX + 3).collect());
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        if text.is_empty() || text.len() > DIGITS_MAX || !digits {
            return Err(refused());
        }
        let (high, low) = text.split_at(text.len().saturating_sub(LOW_DIGITS));
        Ok(Self {
            high: match high {
                "" => 0,
                _ => high.parse().map_err(|_| refused())?,
            },
            low: low.parse().map_err(|_| refused())?,
        })
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.high {
            0 => write!(f, "{}", self.low),
            high => write!(f, "{high}{:038}", self.low),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_KINESIS: &str = "49590338271490256608559692538361571095921575989136588898";

    #[test]
    fn the_digits_of_kinesis_round_trip() {
        for text in ["0", "7", OF_KINESIS, "18446744073709551616"] {
            let number: SequenceNumber = text.parse().unwrap();
            assert_eq!(number.to_string(), text);
            assert_eq!(number.padded().parse(), Ok(number));
            assert_eq!(SequenceNumber::from_bytes(&number.to_bytes()), Some(number));
            assert_eq!(SequenceNumber::from_bytes(&number.to_bytes()[1..]), None);
        }
    }

    #[test]
    fn numbers_sort_by_value_and_so_do_their_padded_texts_and_bytes() {
        let texts = [
            "0",
            "9",
            "10",
            "99999999999999999999999999999999999999",
            "100000000000000000000000000000000000000",
            OF_KINESIS,
        ];
        let numbers: Vec<SequenceNumber> = texts.iter().map(|text| text.parse().unwrap()).collect();
        assert!(numbers.is_sorted());
        assert!(
            numbers
                .iter()
                .map(|n| n.padded())
                .collect::<Vec<_>>()
                .is_sorted()
        );
        assert!(numbers.iter().map(|n| n.to_bytes()).is_sorted());
        assert_eq!(SequenceNumber::from(10).count(), 10);
        assert_eq!(numbers.last().unwrap().count(), u64::MAX);
    }

    #[test]
    fn a_text_that_is_not_a_number_is_refused() {
        let long = "1".repeat(DIGITS_MAX + 1);
        for text in ["", "-1", "1.5", "LATEST", " 1", &long] {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text}");
        }
    }
}
