//! Which ticks a rollout percentage admits to the stream. The choice is sticky and monotonic: all
//! ticks of the 1 % stage are also in the 10 % stage.
//!
//! The rule is published with test vectors, and is the same in Rust, shell and SQL: the first four
//! bytes of the SHA-256 of the key's UTF-8 text, as a big-endian number, modulo 10,000.

use sha2::{Digest, Sha256};

use crate::percentage::COHORT_BUCKETS;
use crate::{Percentage, Rollout, RolloutKey, Tick};

/// The bucket of a key, 0 to 9,999.
#[must_use]
pub fn cohort_bucket(key: &str) -> u16 {
    let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    let [a, b, c, d, ..] = digest;
    let bucket = u32::from_be_bytes([a, b, c, d]) % u32::from(COHORT_BUCKETS);
    u16::try_from(bucket).unwrap_or_default()
}

impl Rollout {
    /// Whether a tick belongs to the cohort that goes to the stream.
    #[must_use]
    pub fn admits(&self, tick: &Tick) -> bool {
        if !self.use_kinesis || self.percentage == Percentage::ZERO {
            return false;
        }
        if self.percentage == Percentage::FULL {
            return true;
        }
        let bucket = match self.key {
            RolloutKey::Tick => cohort_bucket(&tick.tick_id.to_string()),
            RolloutKey::Token => cohort_bucket(tick.token.as_str()),
        };
        self.percentage.admits(bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_vectors() {
        // printf %s KEY | sha256sum | cut -c1-8 → hexadecimal, mod 10000
        for (key, bucket) in [
            ("", 2_610),
            ("a", 6_610),
            ("BTC", 4_695),
            ("So11111111111111111111111111111111111111112", 824),
        ] {
            assert_eq!(cohort_bucket(key), bucket, "{key}");
        }
    }

    proptest! {
        #[test]
        fn a_larger_share_holds_the_smaller_one(key in ".*", low in 0u16..=10_000, high in 0u16..=10_000) {
            let (low, high) = (Percentage(low.min(high)), Percentage(low.max(high)));
            let bucket = cohort_bucket(&key);
            prop_assert!(!low.admits(bucket) || high.admits(bucket));
            prop_assert!(Percentage::FULL.admits(bucket) && !Percentage::ZERO.admits(bucket));
        }
    }
}
