//! A shard's memory as bytes.

use std::collections::BTreeMap;

use domain::Pair;
use domain::analytics::{CandleBlock, PairState};
use lru::LruCache;
use serde::{Deserialize, Serialize};

use super::StoredBlock;
use super::memory::{HeldBlock, Memory, PairMemory};
use crate::ports::SequenceNumber;

/// The layout of what is around the states, which have a version of their own.
const VERSION: u8 = 1;

/// The bytes of a snapshot are not one of this release.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("the snapshot has version {0}, but this release reads {VERSION}")]
    Version(u8),
    #[error("the snapshot is damaged: {0}")]
    Damaged(#[from] postcard::Error),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u8,
    position: SequenceNumber,
    pairs: Vec<StoredPair>,
}

/// State and blocks separately, so that a state that cannot be read does not take the blocks with it.
#[derive(Serialize, Deserialize)]
struct StoredPair {
    pair: Pair,
    state: Vec<u8>,
    blocks: Vec<StoredHeld>,
    stored_newest_ms: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct StoredHeld {
    block: CandleBlock,
    stored_to: SequenceNumber,
    dirty: bool,
    changed_ms: i64,
}

/// The snapshot of a memory, the pair with the least recent tick first.
pub(super) fn encode(memory: &Memory) -> Result<Vec<u8>, postcard::Error> {
    let pairs = memory.pairs.iter().rev().map(|(pair, held)| {
        let blocks = held.blocks.values().map(|it| StoredHeld {
            block: it.block.clone(),
            stored_to: it.stored_to,
            dirty: it.dirty,
            changed_ms: it.changed_ms,
        });
        Ok(StoredPair {
            pair: pair.clone(),
            state: postcard::to_stdvec(&held.state)?,
            blocks: blocks.collect(),
            stored_newest_ms: held.stored_newest_ms,
        })
    });
    postcard::to_stdvec(&Stored {
        version: VERSION,
        position: memory.position,
        pairs: pairs.collect::<Result<_, postcard::Error>>()?,
    })
}

/// The memory of a snapshot, and the pairs whose states could not be read: these continue after their blocks.
pub(super) fn decode(bytes: &[u8], now_ms: i64) -> Result<(Memory, Vec<Pair>), SnapshotError> {
    match bytes.first() {
        Some(&VERSION) => {}
        other => return Err(SnapshotError::Version(other.copied().unwrap_or_default())),
    }
    let stored: Stored = postcard::from_bytes(bytes)?;
    let mut unreadable = Vec::new();
    let mut pairs = LruCache::unbounded();
    for StoredPair {
        pair,
        state,
        blocks,
        stored_newest_ms,
    } in stored.pairs
    {
        let of_blocks = || {
            let newest_first = blocks.iter().rev().map(|held| StoredBlock {
                block: held.block.clone(),
                position: held.stored_to,
            });
            PairMemory::resumed(&pair, newest_first.collect(), now_ms).state
        };
        let state = postcard::from_bytes::<PairState>(&state).unwrap_or_else(|error| {
            tracing::error!(pair = %pair, cause = %error, "the analysis of a pair continues after its candles, since \
                its state cannot be read");
            unreadable.push(pair.clone());
            of_blocks()
        });
        let held = |it: StoredHeld| {
            let held = HeldBlock {
                block: it.block,
                stored_to: it.stored_to,
                dirty: it.dirty,
                changed_ms: it.changed_ms,
            };
            (held.block.start_ms(), held)
        };
        let blocks: BTreeMap<i64, HeldBlock> = blocks.into_iter().map(held).collect();
        pairs.put(
            pair,
            PairMemory {
                state,
                blocks,
                stored_newest_ms,
            },
        );
    }
    let memory = Memory {
        position: stored.position,
        pairs,
        records_unsaved: 0,
        saved: true,
    };
    Ok((memory, unreadable))
}
