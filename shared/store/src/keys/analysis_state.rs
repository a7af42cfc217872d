//! Key: shard (u8), pair number (u32).
//! Value: [`FORMAT`], and the pair's state with the last record in it (postcard). Layout 3 and before had
//! states of version 1 without it.

use app::ports::{SequenceNumber, StoredState};
use domain::analytics::{PairState, PairStateV1};
use serde::Deserialize;

use super::key_of;
use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "states";

pub(crate) fn key(shard: u8, pair: u32) -> [u8; 5] {
    key_of([shard].into_iter().chain(pair.to_be_bytes()))
}

/// The first byte of a value. A value of version 1 begins with the high digits of a count, which are 0.
const FORMAT: u8 = 0xc3;

/// A value of version 1.
#[derive(Deserialize)]
struct StoredStateV1 {
    last_sequence: SequenceNumber,
    state: PairStateV1,
}

pub(crate) fn encode(state: &StoredState) -> Result<Vec<u8>, StorageError> {
    super::encode("state", &(FORMAT, state))
}

pub(crate) fn decode(bytes: &[u8]) -> Result<StoredState, StorageError> {
    if let Some((&FORMAT, state)) = bytes.split_first() {
        return super::decode("state", state);
    }
    let before: StoredStateV1 = super::decode("state", bytes)?;
    let state = PairState::try_from(before.state);
    Ok(StoredState {
        last_sequence: before.last_sequence,
        state: state.map_err(|error| StorageError::corrupt("state", error))?,
    })
}
