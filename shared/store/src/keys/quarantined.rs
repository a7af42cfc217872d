//! Key: time of receipt (u64), number (u64), counted from 1.
//! Value: the entry as JSON, truncated to the quarantine's limit.

use app::ports::Quarantined;

use super::sortable;
use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "quarantine";

pub(crate) fn key(received_at_ms: i64, number: u64) -> Vec<u8> {
    [sortable(received_at_ms), number.to_be_bytes()].concat()
}

pub(crate) fn encode(entry: &Quarantined) -> Result<Vec<u8>, StorageError> {
    serde_json::to_vec(entry).map_err(|error| StorageError::corrupt("quarantined entry", error))
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Quarantined, StorageError> {
    serde_json::from_slice(bytes).map_err(|error| StorageError::corrupt("quarantined entry", error))
}
