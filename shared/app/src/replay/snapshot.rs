//! A shard's memory as bytes.

use domain::Pair;
use domain::analytics::{CompactBlock, Watch};
use lru::LruCache;
use serde::{Deserialize, Serialize};

use super::memory::{HeldBlock, Memory, PairMemory};
use crate::ports::SequenceNumber;

/// The layout of what is around the states, which have a version of their own.
const VERSION: u8 = 2;

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
    block: CompactBlock,
    stored_to: SequenceNumber,
    in_state: bool,
    dirty: bool,
    changed_ms: i64,
}

/// The snapshot of a memory, the pair with the least recent tick first.
pub(super) fn encode(memory: &Memory) -> Result<Vec<u8>, postcard::Error> {
    let pairs = memory.pairs.iter().rev().map(|(pair, held)| {
        let blocks = held.blocks.values().map(|it| StoredHeld {
            block: it.block.compact(),
            stored_to: it.stored_to,
            in_state: it.in_state,
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
pub(super) fn decode(bytes: &[u8]) -> Result<(Memory, Vec<Pair>), SnapshotError> {
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
        let held = |it: StoredHeld| HeldBlock {
            block: it.block.into_block(pair.clone()),
            stored_to: it.stored_to,
            in_state: it.in_state,
            dirty: it.dirty,
            changed_ms: it.changed_ms,
        };
        let blocks = blocks.into_iter().map(held);
        let blocks = blocks.map(|held| (held.block.start_ms(), held)).collect();
        let restored = match postcard::from_bytes(&state) {
            Ok(state) => PairMemory {
                state,
                blocks,
                stored_newest_ms,
            },
            Err(error) => {
                tracing::error!(pair = %pair, cause = %error, "the analysis of a pair continues after its candles, \
                    since its state cannot be read");
                unreadable.push(pair.clone());
                PairMemory::resumed(&pair, blocks, stored_newest_ms)
            }
        };
        pairs.put(pair, restored);
    }
    let memory = Memory {
        position: stored.position,
        pairs,
        records_unsaved: 0,
        saved: true,
        watch: Watch::default(),
    };
    Ok((memory, unreadable))
}
