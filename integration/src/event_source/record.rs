//! A record of a shard, its place in the order, and what it weighs in an invocation's payload.

use std::cmp::Ordering;
use std::fmt;

/// What the JSON of one record weighs beside its data and partition key, in bytes: names, ARNs, ids.
/// Measured on events of AWS's shape and rounded up.
const ENVELOPE_BYTES: usize = 640;

/// A record's place in its shard: a decimal number of up to 128 digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SequenceNumber(String);

/// Text that is not a sequence number.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a sequence number: digits are expected")]
pub struct NotASequenceNumber(String);

impl SequenceNumber {
    /// Reads a sequence number; leading zeros do not count.
    ///
    /// # Errors
    ///
    /// Anything but digits.
    pub fn new(text: &str) -> Result<Self, NotASequenceNumber> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotASequenceNumber(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// As AWS writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn significant(&self) -> &str {
        self.0.trim_start_matches('0')
    }
}

impl Ord for SequenceNumber {
    /// By value: a number of more digits is the greater one.
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) = (self.significant(), other.significant());
        left.len().cmp(&right.len()).then_with(|| left.cmp(right))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A record as GetRecords gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the shard.
    pub sequence_number: SequenceNumber,
    /// When the stream took it, epoch ms.
    pub arrival_ms: i64,
    /// What chose its shard.
    pub partition_key: String,
    /// What the producer sent.
    pub data: Vec<u8>,
}

impl Record {
    /// What it weighs in the payload of an invocation, where its data is base64.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.data.len().div_ceil(3) * 4 + self.partition_key.len() + ENVELOPE_BYTES
    }
}
