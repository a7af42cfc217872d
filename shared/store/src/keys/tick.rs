//! Key: pair number (u32), timestamp (u64), tick id (16 bytes).
//! Value: the tick in `codec`'s binary form.

use codec::binary;
use domain::Tick;

use super::{key_of, sortable};
use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "ticks";

/// The length of a key.
pub(crate) const KEY_BYTES: usize = 4 + 8 + 16;

/// A tick's key.
pub(crate) type TickKey = [u8; KEY_BYTES];

pub(crate) fn key(pair: u32, timestamp_ms: i64, id: &[u8; 16]) -> TickKey {
    let moment = sortable(timestamp_ms);
    key_of(pair.to_be_bytes().into_iter().chain(moment).chain(*id))
}

/// The lower bound of a pair's keys from a time on.
pub(crate) fn from(pair: u32, timestamp_ms: i64) -> [u8; 4 + 8] {
    key_of(pair.to_be_bytes().into_iter().chain(sortable(timestamp_ms)))
}

pub(crate) fn encode(tick: &Tick) -> Vec<u8> {
    // The names and about 60 bytes.
    let names = [&tick.token, &tick.quote].map(|name| name.as_str().len());
    let room = names.iter().sum::<usize>() + tick.source.as_str().len() + 64;
    let mut value = Vec::with_capacity(room);
    binary::encode(tick, &mut value);
    value
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Tick, StorageError> {
    binary::decode(bytes).map_err(|error| StorageError::corrupt("tick", error))
}
