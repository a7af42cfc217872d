//! Key: number (u64), counted from 1.
//! Value: the change as JSON.

use domain::RolloutChange;

use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "rollouts";

pub(crate) fn encode(change: &RolloutChange) -> Result<Vec<u8>, StorageError> {
    serde_json::to_vec(change).map_err(|error| StorageError::corrupt("rollout change", error))
}

pub(crate) fn decode(bytes: &[u8]) -> Result<RolloutChange, StorageError> {
    serde_json::from_slice(bytes).map_err(|error| StorageError::corrupt("rollout change", error))
}
