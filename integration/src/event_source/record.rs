//! A record of a shard, its position, and its size in an invocation's payload.

use app::ports::SequenceNumber;

/// The size of a record's JSON without its data and partition key, in bytes: names, ARNs, ids.
/// Measured on events in AWS's format and rounded up.
const ENVELOPE_BYTES: usize = 640;

/// A record from GetRecords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its position in the shard.
    pub sequence_number: SequenceNumber,
    /// When the stream accepted it, epoch ms.
    pub arrival_ms: i64,
    /// The key that determines its shard.
    pub partition_key: String,
    /// The producer's data.
    pub data: Vec<u8>,
}

impl Record {
    /// Its size in the payload of an invocation, with base64 data.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.data.len().div_ceil(3) * 4 + self.partition_key.len() + ENVELOPE_BYTES
    }
}
