//! Key: sequence number of the first tick (u64), counted from 1; a keyspace for each shard.
//! Value: parts that were appended together, each with a length (u32) and a block in `codec`'s binary form.

use std::borrow::Borrow;

use codec::binary;
use domain::{Tick, Token, cohort_bucket};

use crate::error::StorageError;

/// The number of shards. All ticks of a token are in the same one.
pub const SHARDS: u8 = 4;

/// The shard of a token: by the same stable hash that selects the cohort.
pub(crate) fn shard_of(token: &Token) -> u8 {
    u8::try_from(cohort_bucket(token.as_str()) % u16::from(SHARDS)).unwrap_or_default()
}

/// The keyspace of a shard.
pub(crate) fn keyspace(shard: u8) -> String {
    format!("stream-{shard}")
}

/// A block that is being filled.
#[derive(Default)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    ticks: u64,
}

/// Ticks in their stored form, encoded on the caller's thread, not on the writer's.
pub(crate) struct EncodedTicks {
    bytes: Vec<u8>,
    ticks: u64,
}

impl EncodedTicks {
    pub(crate) fn of<T: Borrow<Tick>>(ticks: &[T]) -> Self {
        if ticks.is_empty() {
            return Self {
                bytes: Vec::new(),
                ticks: 0,
            };
        }
        Self {
            bytes: binary::encode_block(ticks),
            ticks: ticks.len() as u64,
        }
    }
}

impl Block {
    pub(crate) fn push(&mut self, encoded: &EncodedTicks) {
        if encoded.ticks == 0 {
            return;
        }
        let length = u32::try_from(encoded.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(&encoded.bytes);
        self.ticks += encoded.ticks;
    }

    pub(crate) fn ticks(&self) -> u64 {
        self.ticks
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.ticks = 0;
        std::mem::take(&mut self.bytes)
    }
}

/// Reads the ticks of a block.
pub(crate) fn read(mut bytes: &[u8]) -> Result<Vec<Tick>, StorageError> {
    let mut ticks = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (record, rest) = rest
            .split_at_checked(length)
            .ok_or_else(|| StorageError::corrupt("block", "it ends inside a part"))?;
        let part = binary::decode_block(record);
        ticks.extend(part.map_err(|error| StorageError::corrupt("block", error))?);
        bytes = rest;
    }
    if bytes.is_empty() {
        Ok(ticks)
    } else {
        Err(StorageError::corrupt("block", "it ends inside a length"))
    }
}
