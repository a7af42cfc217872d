//! A checksum of a set of ticks that does not depend on their order, by what identifies each of
//! them.

use std::fmt;

use domain::Tick;
use sha2::{Digest, Sha256};

/// The hash of a tick's identity, used to find duplicates.
pub(crate) type IdentityHash = [u8; 32];

/// What identifies a tick ([`domain::TickIdentity`]), as it is in a row of a file. A foreign file
/// may lack any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowIdentity<'a> {
    pub(crate) token: Option<&'a str>,
    pub(crate) quote: Option<&'a str>,
    /// Event time, milliseconds since the epoch.
    pub(crate) ts: Option<i64>,
    pub(crate) tick_id: Option<&'a str>,
}

impl<'a> RowIdentity<'a> {
    /// That of a tick; `tick_id` is its id as text.
    pub(crate) fn of(tick: &'a Tick, tick_id: &'a str) -> Self {
        Self {
            token: Some(tick.token.as_str()),
            quote: Some(tick.quote.as_str()),
            ts: Some(tick.timestamp_ms),
            tick_id: Some(tick_id),
        }
    }

    /// Its hash; all rows without an id have the same one.
    pub(crate) fn hash(&self) -> IdentityHash {
        let Some(tick_id) = self.tick_id else {
            return [0; 32];
        };
        let mut hasher = Sha256::new();
        for text in [Some(tick_id), self.token, self.quote] {
            // With its length, so that no two sequences of texts have the same bytes.
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            hasher.update(length.to_le_bytes());
            hasher.update(text.unwrap_or_default());
        }
        hasher.update([u8::from(self.ts.is_some())]);
        hasher.update(self.ts.unwrap_or_default().to_le_bytes());
        hasher.finalize().into()
    }
}

/// The number of ticks, and the sum of the SHA-256 hashes of their identities modulo 2^256. Two
/// different multisets have the same sum only with a probability of 1 in 2^256. The sums of parts
/// can be added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IdentitySum {
    rows: u64,
    /// Four digits of 64 bits, the lowest first.
    sum: [u64; 4],
}

impl IdentitySum {
    /// The sum of ticks.
    #[must_use]
    pub fn of(ticks: &[&Tick]) -> Self {
        let mut sum = Self::default();
        for tick in ticks {
            sum.add(&RowIdentity::of(tick, &tick.tick_id.to_string()).hash());
        }
        sum
    }

    /// The sum as release 1.0 wrote it into manifests: of the ids alone.
    pub(crate) fn of_ids_alone<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        let mut sum = Self::default();
        for id in ids {
            sum.add(&Sha256::digest(id.as_bytes()).into());
        }
        sum
    }

    /// The number of ticks, counting repetitions.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn add(&mut self, hash: &IdentityHash) {
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
impl fmt::Display for IdentitySum {
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

    fn sum_of(ids: &[&str]) -> IdentitySum {
        let mut sum = IdentitySum::default();
        for id in ids {
            let identity = RowIdentity {
                token: Some("BTC"),
                quote: Some("USD"),
                ts: Some(1),
                tick_id: Some(id),
            };
            sum.add(&identity.hash());
        }
        sum
    }

    #[test]
    fn a_sum_depends_on_the_ticks_and_their_repetitions() {
        assert_ne!(sum_of(&["a"]), sum_of(&["b"]));
        assert_ne!(sum_of(&["a"]), sum_of(&["a", "a"]));
        assert_ne!(sum_of(&["a", "a"]), sum_of(&["b", "b"]));
        assert_ne!(sum_of(&[]), sum_of(&[""]));
        assert_eq!(sum_of(&["a", "a"]).rows(), 2);
    }

    #[test]
    fn sums_in_manifests_of_release_1_0_are_known() {
        // printf a | sha256sum, with the bytes in reverse order.
        assert_eq!(
            IdentitySum::of_ids_alone(["a"]).to_string(),
            "bb48eeaf857780b9724e7c14f8ef86a74ddc239ab331c2facabd1bca128197ca"
        );
    }

    #[test]
    fn each_part_of_an_identity_counts_and_absent_parts_differ_from_empty_ones() {
        let one = RowIdentity {
            token: Some("BTC"),
            quote: Some("USD"),
            ts: Some(5),
            tick_id: Some("a"),
        };
        let others = [
            RowIdentity {
                token: Some("ETH"),
                ..one
            },
            RowIdentity { token: None, ..one },
            RowIdentity {
                token: Some(""),
                ..one
            },
            RowIdentity {
                token: Some("BTCU"),
                quote: Some("SD"),
                ..one
            },
            RowIdentity {
                quote: Some("EUR"),
                ..one
            },
            RowIdentity { ts: Some(6), ..one },
            RowIdentity { ts: None, ..one },
            RowIdentity { ts: Some(0), ..one },
            RowIdentity {
                tick_id: Some("b"),
                ..one
            },
            RowIdentity {
                tick_id: None,
                ..one
            },
        ];
        let hashes: std::collections::BTreeSet<_> =
            others.iter().chain([&one]).map(RowIdentity::hash).collect();
        assert_eq!(hashes.len(), others.len() + 1);
    }

    #[test]
    fn digits_are_carried() {
        let ones = IdentitySum {
            rows: 1,
            sum: [u64::MAX, u64::MAX, u64::MAX, 0],
        };
        let mut sum = ones;
        sum.merge(&IdentitySum {
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
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let whole = sum_of(&ids);
            let mut reversed = ids.clone();
            reversed.reverse();
            prop_assert_eq!(sum_of(&reversed), whole);
            let (first, second) = ids.split_at(at.min(ids.len()));
            let mut parts = sum_of(first);
            parts.merge(&sum_of(second));
            prop_assert_eq!(parts, whole);
        }
    }
}
