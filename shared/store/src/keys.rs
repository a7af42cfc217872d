//! The disk format: one file per keyspace, whose first lines describe its key and value. Numbers in keys
//! are big-endian, so keys sort by number.

pub(crate) mod analysis_state;
pub(crate) mod anomaly;
pub(crate) mod anomaly_mark;
pub(crate) mod arrival_stamped;
pub(crate) mod candle;
pub(crate) mod day;
pub(crate) mod event_day;
pub(crate) mod meta;
pub(crate) mod outbox_entry;
pub(crate) mod pair;
pub(crate) mod quarantined;
pub(crate) mod rollout_change;
pub(crate) mod stream_block;
pub(crate) mod tick;

use crate::error::StorageError;

/// A time as bytes that sort by time. There are no times before the epoch: a tick's time is validated,
/// and 0 means the beginning.
pub(crate) fn sortable(timestamp_ms: i64) -> [u8; 8] {
    u64::try_from(timestamp_ms).unwrap_or(0).to_be_bytes()
}

/// The number at the end of a key.
pub(crate) fn number_of(key: &[u8]) -> Result<u64, StorageError> {
    key.last_chunk::<8>()
        .map(|bytes| u64::from_be_bytes(*bytes))
        .ok_or_else(|| StorageError::corrupt("key", "it is too short"))
}

/// Builds a key of a fixed length.
fn key_of<const BYTES: usize>(parts: impl Iterator<Item = u8>) -> [u8; BYTES] {
    let mut key = [0; BYTES];
    for (slot, byte) in key.iter_mut().zip(parts) {
        *slot = byte;
    }
    key
}

/// A value in postcard's format; `what` names it in an error.
pub(crate) fn encode<T: serde::Serialize>(
    what: &'static str,
    value: &T,
) -> Result<Vec<u8>, StorageError> {
    postcard::to_stdvec(value).map_err(|error| StorageError::corrupt(what, error))
}

/// Reads a value in postcard's format.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
) -> Result<T, StorageError> {
    postcard::from_bytes(bytes).map_err(|error| StorageError::corrupt(what, error))
}
