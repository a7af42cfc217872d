//! Key: time of receipt (u64), number (u64), counted from 1.
//! Value: the entry as JSON, truncated to the quarantine's limit; once it was replayed, with what became of it.

use app::ports::Quarantined;
use app::quarantine_review::ReplayRecord;
use serde::{Deserialize, Serialize};

use super::{number_of, sortable};
use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "quarantine";

pub(crate) fn key(received_at_ms: i64, number: u64) -> Vec<u8> {
    [sortable(received_at_ms), number.to_be_bytes()].concat()
}

/// An entry with what became of it. A release before 1.1 reads the entry alone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reviewed {
    #[serde(flatten)]
    pub(crate) kept: Quarantined,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replayed: Option<ReplayRecord>,
}

/// The name of the entry of a key: `1767312000000-17`.
pub(crate) fn id(key: &[u8]) -> Result<String, StorageError> {
    let received_at_ms = key
        .first_chunk::<8>()
        .copied()
        .map_or(0, u64::from_be_bytes);
    Ok(format!("{received_at_ms}-{}", number_of(key)?))
}

/// The key of an entry's name; `None` if it is not one.
pub(crate) fn key_of_id(id: &str) -> Option<Vec<u8>> {
    let (received_at_ms, number) = id.split_once('-')?;
    Some(key(received_at_ms.parse().ok()?, number.parse().ok()?))
}

pub(crate) fn encode_reviewed(entry: &Reviewed) -> Result<Vec<u8>, StorageError> {
    serde_json::to_vec(entry).map_err(|error| StorageError::corrupt("quarantined entry", error))
}

pub(crate) fn decode_reviewed(bytes: &[u8]) -> Result<Reviewed, StorageError> {
    serde_json::from_slice(bytes).map_err(|error| StorageError::corrupt("quarantined entry", error))
}

pub(crate) fn encode(entry: &Quarantined) -> Result<Vec<u8>, StorageError> {
    serde_json::to_vec(entry).map_err(|error| StorageError::corrupt("quarantined entry", error))
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Quarantined, StorageError> {
    serde_json::from_slice(bytes).map_err(|error| StorageError::corrupt("quarantined entry", error))
}
