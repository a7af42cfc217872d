//! A checksum of a set of tick ids that does not depend on their order.

use std::fmt;

use sha2::{Digest, Sha256};

/// The hash of a tick's id, used to find duplicates.
pub(crate) type IdHash = [u8; 32];

/// The hash of an id as it is in a file; all rows without an id have the same hash.
pub(crate) fn hash(id: Option<&str>) -> IdHash {
    match id {
        Some(id) => Sha256::digest(id.as_bytes()).into(),
        None => [0; 32],
    }
}

/// The number of ids, and the sum of their SHA-256 hashes modulo 2^256. Two different multisets of
/// ids have the same sum only with a probability of 1 in 2^256. The sums of parts can be added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IdSum {
    rows: u64,
    /// Four digits of 64 bits, the lowest first.
    sum: [u64; 4],
}

impl IdSum {
    /// The sum of ids.
    pub fn of<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        let mut sum = Self::default();
        for id in ids {
            sum.add(&hash(Some(id)));
        }
        sum
    }

    /// The number of ids, counting repetitions.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn add(&mut self, hash: &IdHash) {
        let mut digits = [0; 4];
        for (digit, bytes) in digits.iter_mut().zip(hash.as_chunks::<8>().0) {
            *digit = u64::from_le_bytes(*bytes);
        }
        self.merge(&Self {
            rows: 1,
            sum: digits,
        });
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        let mut carry = false;
        for (digit, added) in self.sum.iter_mut().zip(other.sum) {
            let (sum, over) = digit.overflowing_add(added);
            let (sum, over_by_carry) = sum.overflowing_add(u64::from(carry));
            *digit = sum;
            carry = over || over_by_carry;
        }
    }
}

/// 64 hexadecimal digits: the sum, without the count.
impl fmt::Display for IdSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sum
            .iter()
            .rev()
            .try_for_each(|digit| write!(f, "{digit:016x}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sum_depends_on_the_ids_and_their_repetitions() {
        // printf a | sha256sum, with the bytes in reverse order.
        assert_eq!(
            IdSum::of(["a"]).to_string(),
            "bb48eeaf857780b9724e7c14f8ef86a74ddc239ab331c2facabd1bca128197ca"
        );
        assert_ne!(IdSum::of(["a"]), IdSum::of(["b"]));
        assert_ne!(IdSum::of(["a"]), IdSum::of(["a", "a"]));
        assert_ne!(IdSum::of(["a", "a"]), IdSum::of(["b", "b"]));
        assert_ne!(IdSum::of([]), IdSum::of([""]));
        assert_eq!(IdSum::of(["a", "a"]).rows(), 2);
    }

    #[test]
    fn digits_are_carried() {
        let ones = IdSum {
            rows: 1,
            sum: [u64::MAX, u64::MAX, u64::MAX, 0],
        };
        let mut sum = ones;
        sum.merge(&IdSum {
            rows: 1,
            sum: [1, 0, 0, 0],
        });
        assert_eq!(sum.sum, [0, 0, 0, 1]);
        let mut sum = ones;
        sum.merge(&ones);
        assert_eq!(sum.sum, [u64::MAX - 1, u64::MAX, u64::MAX, 1]);
    }

    proptest! {
        #[test]
        fn order_and_parts_do_not_matter(ids in proptest::collection::vec("[a-c]{0,3}", 0..20), at in 0_usize..20) {
            let whole = IdSum::of(ids.iter().map(String::as_str));
            let mut reversed = IdSum::of(ids.iter().rev().map(String::as_str));
            prop_assert_eq!(reversed, whole);
            let (first, second) = ids.split_at(at.min(ids.len()));
            reversed = IdSum::of(first.iter().map(String::as_str));
            reversed.merge(&IdSum::of(second.iter().map(String::as_str)));
            prop_assert_eq!(reversed, whole);
        }
    }
}
