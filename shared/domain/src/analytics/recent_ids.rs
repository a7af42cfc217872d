//! The last few ticks of a pair: whether a tick was applied before, in constant time and space.
//!
//! The ids are kept in a ring in order of arrival. Each comes with the position of the previous id
//! in the same hash bucket. A look-up follows this short chain from the newest to the oldest, and
//! nothing has to be removed when the ring overwrites an id.

use serde::{Deserialize, Serialize};

use super::members::Member;

/// How many ids of a pair are remembered: 512.
///
/// Most duplicates never get here. A batch that the stream delivers again is recognized by its
/// sequence numbers, and the ticks of a delivery that a provider repeats are recognized by the
/// store, which knows every id. What remains are copies that got past those checks (two deliveries
/// of one event stored at the same moment, a batch appended twice in part). They arrive within the
/// few hundred ticks that were in flight.
pub(super) const RECENT_IDS_MAX: usize = 512;

const MASK: usize = RECENT_IDS_MAX - 1;
const _: () = assert!(RECENT_IDS_MAX.is_power_of_two() && RECENT_IDS_MAX <= 1 << 15);

/// An odd number with evenly spread bits (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// A set of the newest [`RECENT_IDS_MAX`] ids, 6 KB.
///
/// Only 64 bits of an id are kept: the chance that a new tick is mistaken for a remembered one is
/// 512 / 2^64, about 3 in 10^17.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(super) struct RecentIds {
    /// The id inserted at position `p` is in slot `p & MASK`. Positions count insertions and wrap
    /// around.
    ring: Box<[u64; RECENT_IDS_MAX]>,
    /// Per slot: the newest position of the same bucket when the slot was filled.
    earlier: Box<[u16; RECENT_IDS_MAX]>,
    /// Per bucket: the position after its newest id.
    heads: Box<[u16; RECENT_IDS_MAX]>,
    /// The position of the next id.
    next: u16,
    /// How many slots are filled.
    len: usize,
}

/// The ids as stored, the oldest first. They have a fixed length, since random numbers do not
/// compress.
#[derive(Serialize, Deserialize)]
struct Stored(Vec<[u8; 8]>);

impl Default for RecentIds {
    fn default() -> Self {
        Self {
            ring: Box::new([0; RECENT_IDS_MAX]),
            earlier: Box::new([0; RECENT_IDS_MAX]),
            heads: Box::new([0; RECENT_IDS_MAX]),
            next: 0,
            len: 0,
        }
    }
}

impl RecentIds {
    /// Inserts the id, dropping the oldest if the ring is full. Returns false if the id was already
    /// there.
    pub(super) fn insert(&mut self, Member(bits): Member) -> bool {
        self.insert_bits(bits)
    }

    fn insert_bits(&mut self, id: u64) -> bool {
        let bucket = bucket_of(id);
        let head = self.heads.get(bucket).copied().unwrap_or_default();
        if self.chain_holds(head, id) {
            return false;
        }
        let slot = usize::from(self.next) & MASK;
        if let (Some(ring), Some(earlier), Some(newest)) = (
            self.ring.get_mut(slot),
            self.earlier.get_mut(slot),
            self.heads.get_mut(bucket),
        ) {
            *ring = id;
            *earlier = head;
            *newest = self.next.wrapping_add(1);
        }
        self.next = self.next.wrapping_add(1);
        self.len = (self.len + 1).min(RECENT_IDS_MAX);
        true
    }

    /// Follows the chain that starts at `head` (a position plus one).
    ///
    /// A pointer out of the ring ends the chain. A pointer so old that its position has wrapped
    /// around may look recent, but this does no harm: it comes after all current ids of the bucket,
    /// ids are compared in full, and the walk ends because each step must go further back.
    fn chain_holds(&self, head: u16, id: u64) -> bool {
        let mut head = head;
        let mut age_before = 0;
        loop {
            let age = usize::from(self.next.wrapping_sub(head)) + 1;
            if age <= age_before || age > self.len {
                return false;
            }
            let slot = usize::from(head.wrapping_sub(1)) & MASK;
            if self.ring.get(slot) == Some(&id) {
                return true;
            }
            head = self.earlier.get(slot).copied().unwrap_or_default();
            age_before = age;
        }
    }
}

impl From<Stored> for RecentIds {
    fn from(stored: Stored) -> Self {
        let mut ids = Self::default();
        for bytes in stored.0 {
            ids.insert_bits(u64::from_le_bytes(bytes));
        }
        ids
    }
}

impl From<RecentIds> for Stored {
    fn from(ids: RecentIds) -> Self {
        let end = usize::from(ids.next) + RECENT_IDS_MAX;
        Self(
            (end - ids.len..end)
                .filter_map(|position| ids.ring.get(position & MASK))
                .map(|id| id.to_le_bytes())
                .collect(),
        )
    }
}

/// The top nine bits after spreading: a number below [`RECENT_IDS_MAX`].
fn bucket_of(id: u64) -> usize {
    let top = id.wrapping_mul(SPREAD) >> (u64::BITS - RECENT_IDS_MAX.trailing_zeros());
    usize::try_from(top).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn id(number: u128) -> Member {
        use crate::{Tick, TickId};
        let tick_id = TickId::from_bytes(number.to_be_bytes());
        let tick = super::super::tests::tick(0, 0, "1", None);
        Member::of(&Tick { tick_id, ..tick })
    }

    /// Inserts the same ids here and into a plain list, and compares every result.
    fn check(numbers: impl IntoIterator<Item = u64>, stored_every: usize) {
        let mut ids = RecentIds::default();
        let mut reference = VecDeque::new();
        for (index, number) in numbers.into_iter().enumerate() {
            let known = reference.contains(&number);
            if !known {
                reference.push_back(number);
                if reference.len() > RECENT_IDS_MAX {
                    reference.pop_front();
                }
            }
            assert_eq!(ids.insert_bits(number), !known, "{number} at {index}");
            if index % stored_every == stored_every - 1 {
                let bytes = postcard::to_stdvec(&ids).unwrap();
                assert!(bytes.len() <= 8 * RECENT_IDS_MAX + 2);
                ids = postcard::from_bytes(&bytes).unwrap();
            }
        }
    }

    #[test]
    fn positions_may_wrap_around() {
        // Two rounds of the 16-bit positions; every fifth id is repeated 1 to 600 ids later.
        let numbers = (0..140_000_u64).map(|n| if n % 5 == 0 { n - (n % 601).min(n) } else { n });
        check(numbers, usize::MAX);
    }

    /// A bucket that was unused for exactly one round points at itself when it is used again.
    #[test]
    fn a_bucket_unused_for_a_round_of_positions_ends_its_chain() {
        let (mut own, others): (Vec<u64>, Vec<u64>) =
            (0..70_000).partition(|number| bucket_of(*number) == 7);
        let round = others.into_iter().take((1 << 16) - 1);
        let after = own.split_off(1).into_iter().take(2);
        check(own.into_iter().chain(round).chain(after), usize::MAX);
    }

    #[test]
    fn ids_that_differ_in_one_half_are_distinguished() {
        let mut ids = RecentIds::default();
        for number in 1..=100 {
            assert!(ids.insert(id(number)));
            assert!(ids.insert(id(number << 64)));
            assert!(ids.insert(id(number << 64 | number)));
        }
        assert!(!ids.insert(id(1)));
        assert!(!ids.insert(id(100 << 64)));
    }

    proptest! {
        #[test]
        fn the_newest_ids_are_remembered_and_no_others(
            numbers in prop::collection::vec(0_u64..900, 0..3_000),
            stored_every in 100_usize..1_000,
        ) {
            check(numbers, stored_every);
        }

        /// Multiples of 2^55 crowd into few buckets.
        #[test]
        fn crowded_buckets_give_the_same_results(
            numbers in prop::collection::vec((0_u64..600).prop_map(|n| n << 50), 0..2_000),
        ) {
            check(numbers, usize::MAX);
        }
    }
}
