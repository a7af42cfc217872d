//! The part of the ticks that is compared, the same in all places.

use std::collections::BTreeSet;
use std::hash::Hasher as _;

use domain::Token;
use twox_hash::XxHash64;

const MS_PER_MINUTE: i64 = 60_000;

/// Some tokens, and some minutes of each, by event time: chosen by their hash, so every place has the same ones, and a
/// store that is sorted by token and time can read them alone.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    one_in: u64,
    /// None means all.
    tokens: BTreeSet<Token>,
}

impl Sample {
    /// One minute in so many; 0 and 1 are all.
    pub(super) fn one_in(one_in: u32) -> Self {
        Self {
            one_in: u64::from(one_in.max(1)),
            tokens: BTreeSet::new(),
        }
    }

    /// All minutes of these tokens; none means all tokens.
    pub(super) fn of_tokens(tokens: BTreeSet<Token>) -> Self {
        Self { one_in: 1, tokens }
    }

    /// Whether the ticks of a token at a time (epoch milliseconds) are in the sample.
    pub(super) fn has(&self, token: &str, timestamp_ms: i64) -> bool {
        if !self.tokens.is_empty() && !self.tokens.contains(token) {
            return false;
        }
        if self.one_in == 1 {
            return true;
        }
        let mut hasher = XxHash64::with_seed(0);
        hasher.write(token.as_bytes());
        hasher.write_i64(timestamp_ms.div_euclid(MS_PER_MINUTE));
        hasher.finish().is_multiple_of(self.one_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_about_its_share_of_the_minutes_and_all_ticks_of_each() {
        let sample = Sample::one_in(10);
        let minutes = (0..10_000).filter(|minute| sample.has("BTC", minute * MS_PER_MINUTE));
        let count = minutes.count();
        assert!((800..1_200).contains(&count), "{count}");
        for minute in 0..100 {
            let at = |ms| sample.has("BTC", minute * MS_PER_MINUTE + ms);
            assert_eq!(at(0), at(MS_PER_MINUTE - 1), "minute {minute}");
        }
        assert!((0..100).all(|at| Sample::one_in(1).has("BTC", at)));
        let of_btc = Sample::of_tokens([Token::new("BTC").unwrap()].into());
        assert_eq!(
            ["BTC", "BTCX"].map(|token| of_btc.has(token, 0)),
            [true, false]
        );
    }
}
