//! Key: day of receipt (u16), pair number (u32), timestamp (u64), tick id (16 bytes).
//! Value: a byte that says whether the tick belongs to the stream ([`OUTSIDE`], [`IN_COHORT`]), and the
//! tick in `codec`'s binary form. Layout 3 and before had no such byte.

use codec::binary;
use domain::Tick;

use super::day::Day;
use super::{key_of, sortable};
use crate::error::StorageError;

pub(crate) const KEYSPACE: &str = "ticks-by-day";

/// A tick among those of all days: pair number, timestamp, tick id.
pub(crate) type Identity = [u8; 4 + 8 + 16];

/// The length of a key.
pub(crate) const KEY_BYTES: usize = 2 + size_of::<Identity>();

/// A tick's key.
pub(crate) type TickKey = [u8; KEY_BYTES];

pub(crate) fn identity(pair: u32, timestamp_ms: i64, id: &[u8; 16]) -> Identity {
    let moment = sortable(timestamp_ms);
    key_of(pair.to_be_bytes().into_iter().chain(moment).chain(*id))
}

pub(crate) fn key(day: Day, identity: &Identity) -> TickKey {
    key_of(day.to_be_bytes().into_iter().chain(*identity))
}

/// The identity in a key.
pub(crate) fn identity_of(key: &TickKey) -> Identity {
    key_of(key.iter().copied().skip(2))
}

/// The beginning of all keys of a pair's ticks that were received on a day.
pub(crate) fn prefix(day: Day, pair: u32) -> [u8; 2 + 4] {
    key_of(day.to_be_bytes().into_iter().chain(pair.to_be_bytes()))
}

/// The lower bound of a pair's keys of a day from an event time on.
pub(crate) fn from(day: Day, pair: u32, timestamp_ms: i64) -> [u8; 2 + 4 + 8] {
    key_of(prefix(day, pair).into_iter().chain(sortable(timestamp_ms)))
}

/// The pair number in a key, if it has one.
pub(crate) fn pair_of(key: &[u8]) -> Option<u32> {
    let number = key.get(2..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*number))
}

/// The tick did not belong to the stream when it was stored.
const OUTSIDE: u8 = 0x80;
/// The tick belonged to the stream when it was stored.
const IN_COHORT: u8 = 0x81;

pub(crate) fn encode(tick: &Tick, in_cohort: bool) -> Vec<u8> {
    // The names and about 60 bytes.
    let names = [&tick.token, &tick.quote].map(|name| name.as_str().len());
    let room = names.iter().sum::<usize>() + tick.source.as_str().len() + 64;
    let mut value = Vec::with_capacity(room);
    value.push(if in_cohort { IN_COHORT } else { OUTSIDE });
    binary::encode(tick, &mut value);
    value
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Tick, StorageError> {
    decode_decided(bytes).map(|(tick, _)| tick)
}

/// The tick, and whether it belongs to the stream; `None` if a release before 1.1 stored it.
pub(crate) fn decode_decided(bytes: &[u8]) -> Result<(Tick, Option<bool>), StorageError> {
    let (in_cohort, record) = match bytes.split_first() {
        Some((&OUTSIDE, record)) => (Some(false), record),
        Some((&IN_COHORT, record)) => (Some(true), record),
        _ => (None, bytes),
    };
    let tick = binary::decode(record).map_err(|error| StorageError::corrupt("tick", error))?;
    Ok((tick, in_cohort))
}
