//! Remembers which ticks the store has, so that a copy is found even if its time of receipt differs.

use std::hash::Hasher as _;

use twox_hash::XxHash64;

/// 2^26 bits, 8 MiB. With ten million stored ticks, the false positive rate is one in seven.
const BITS: u64 = 1 << 26;

/// A Bloom filter with one hash function: a set of ids in constant memory. It never misses an id that was inserted; a
/// false positive only costs a comparison.
pub(super) struct StoredIds {
    words: Vec<u64>,
}

impl Default for StoredIds {
    fn default() -> Self {
        let words = usize::try_from(BITS / 64).unwrap_or_default();
        Self {
            words: vec![0; words],
        }
    }
}

impl StoredIds {
    pub(super) fn insert(&mut self, tick_id: &[u8]) {
        let (word, bit) = place_of(tick_id);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
    }

    pub(super) fn may_have(&self, tick_id: &[u8]) -> bool {
        let (word, bit) = place_of(tick_id);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }
}

/// The word of an id, and its bit there. Ids may be of any kind, so they are hashed.
fn place_of(tick_id: &[u8]) -> (usize, u64) {
    let mut hasher = XxHash64::with_seed(0);
    hasher.write(tick_id);
    let bit = hasher.finish() % BITS;
    (
        usize::try_from(bit / 64).unwrap_or_default(),
        1 << (bit % 64),
    )
}
