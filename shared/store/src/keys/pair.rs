//! Key: pair number (u32), counted from 0.
//! Value: token and quote (postcard).

use domain::Pair;

use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "pairs";

pub(crate) fn encode(pair: &Pair) -> Result<Vec<u8>, StorageError> {
    super::encode("pair", pair)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Pair, StorageError> {
    super::decode("pair", bytes)
}
