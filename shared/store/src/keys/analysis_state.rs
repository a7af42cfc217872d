//! Key: shard (u8), pair number (u32).
//! Value: the pair's state with the last record in it (postcard).

use app::ports::StoredState;

use super::key_of;
use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "states";

pub(crate) fn key(shard: u8, pair: u32) -> [u8; 5] {
    key_of([shard].into_iter().chain(pair.to_be_bytes()))
}

pub(crate) fn encode(state: &StoredState) -> Result<Vec<u8>, StorageError> {
    super::encode("state", state)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<StoredState, StorageError> {
    super::decode("state", bytes)
}
