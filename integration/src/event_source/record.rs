//! A record of a shard, its place in the order, and what it weighs in an invocation's payload.

use app::ports::SequenceNumber;

/// What the JSON of one record weighs beside its data and partition key, in bytes: names, ARNs, ids.
/// Measured on events of AWS's shape and rounded up.
const ENVELOPE_BYTES: usize = 640;

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
