//! Generated ticks for a load: a random walk for each token, written directly into the body.

use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// The start of each token's walk: 100.00, in hundredths.
const PRICE_CENTS_FIRST: i64 = 10_000;

/// The lowest price of a walk: 1.00, so it never reaches zero.
const PRICE_CENTS_MIN: i64 = 100;

/// The largest step between two ticks of a token: 0.25.
const STEP_CENTS_MAX: i64 = 25;

/// Room for one tick's text, so a body rarely grows while it is written.
const TICK_BYTES: usize = 128;

/// Tokens with a price each, and the numbers of their ticks.
#[derive(Debug)]
pub struct Market {
    tokens: Vec<WalkingToken>,
    /// The next tick's token.
    next: usize,
    /// Ticks written so far; part of their ids.
    ticks: u64,
    /// `","id":"{run}-`: ids differ between runs, so no tick is a duplicate.
    id_prefix: Vec<u8>,
    rng: StdRng,
    body: BytesMut,
}

#[derive(Debug)]
struct WalkingToken {
    /// `{"token":"LOAD0001","price":"`, written once.
    prefix: Vec<u8>,
    price_cents: i64,
}

impl Market {
    /// A market of `tokens` tokens named `LOAD0001` and so on. `run` determines its ids and its
    /// walk.
    #[must_use]
    pub fn new(tokens: u32, run: u64) -> Self {
        let tokens = (1..=tokens.max(1))
            .map(|number| WalkingToken {
                prefix: format!(r#"{{"token":"LOAD{number:04}","price":""#).into_bytes(),
                price_cents: PRICE_CENTS_FIRST,
            })
            .collect();
        Self {
            tokens,
            next: 0,
            ticks: 0,
            id_prefix: format!(r#","id":"{run:016x}-"#).into_bytes(),
            rng: StdRng::seed_from_u64(run),
            body: BytesMut::new(),
        }
    }

    /// The body of a delivery of `ticks` ticks, tokens in turn, each stamped `now_ms`.
    pub fn delivery(&mut self, ticks: u32, now_ms: i64) -> Bytes {
        let mut number = itoa::Buffer::new();
        // Reuses the memory of sent bodies that nobody holds any more.
        self.body
            .reserve(TICK_BYTES * usize::try_from(ticks).unwrap_or(0));
        self.body.extend_from_slice(b"[");
        for position in 0..ticks {
            if position > 0 {
                self.body.extend_from_slice(b",");
            }
            self.tick(now_ms, &mut number);
        }
        self.body.extend_from_slice(b"]");
        self.body.split().freeze()
    }

    fn tick(&mut self, now_ms: i64, number: &mut itoa::Buffer) {
        let count = self.tokens.len();
        let Some(token) = self.tokens.get_mut(self.next) else {
            return;
        };
        self.next = (self.next + 1) % count;
        let step = self.rng.random_range(-STEP_CENTS_MAX..=STEP_CENTS_MAX);
        token.price_cents = (token.price_cents + step).max(PRICE_CENTS_MIN);
        let cents = token.price_cents % 100;
        self.body.extend_from_slice(&token.prefix);
        self.body
            .extend_from_slice(number.format(token.price_cents / 100).as_bytes());
        self.body
            .extend_from_slice(if cents < 10 { b".0" } else { b"." });
        self.body.extend_from_slice(number.format(cents).as_bytes());
        self.body.extend_from_slice(br#"","timestamp":"#);
        self.body
            .extend_from_slice(number.format(now_ms).as_bytes());
        self.body.extend_from_slice(&self.id_prefix);
        self.body
            .extend_from_slice(number.format(self.ticks).as_bytes());
        self.body.extend_from_slice(br#""}"#);
        self.ticks += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::{Price, Token};
    use serde_json::Value;

    use super::*;

    fn ticks(body: &[u8]) -> Vec<Value> {
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn a_delivery_is_json_of_valid_ticks() {
        let mut market = Market::new(3, 7);
        let first = ticks(&market.delivery(4, 1_762_795_433_971));
        let names: Vec<_> = first
            .iter()
            .map(|tick| tick["token"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["LOAD0001", "LOAD0002", "LOAD0003", "LOAD0001"]);
        for tick in first {
            assert!(Token::new(tick["token"].as_str().unwrap()).is_ok());
            assert!(
                Price::parse(tick["price"].as_str().unwrap()).is_ok(),
                "{tick}"
            );
            assert_eq!(tick["timestamp"], 1_762_795_433_971_i64);
        }
    }

    #[test]
    fn ids_are_unique_within_a_run_and_between_runs() {
        let mut seen = BTreeSet::new();
        for run in [1, 2, u64::MAX] {
            let mut market = Market::new(2, run);
            for _ in 0..10 {
                for tick in ticks(&market.delivery(5, 0)) {
                    assert!(
                        seen.insert(tick["id"].as_str().unwrap().to_owned()),
                        "{tick}"
                    );
                }
            }
        }
        assert_eq!(seen.len(), 150);
    }

    #[test]
    fn a_walk_moves_in_small_steps_and_never_reaches_zero() {
        let mut market = Market::new(1, 3);
        let mut cents_seen = BTreeSet::new();
        let mut before = 100.0;
        for _ in 0..100 {
            for tick in ticks(&market.delivery(100, 0)) {
                let price: f64 = tick["price"].as_str().unwrap().parse().unwrap();
                assert!(
                    price >= 1.0 && (price - before).abs() < 0.251,
                    "{before} {price}"
                );
                cents_seen.insert(
                    tick["price"]
                        .as_str()
                        .unwrap()
                        .split('.')
                        .next_back()
                        .unwrap()
                        .len(),
                );
                before = price;
            }
        }
        assert_eq!(
            cents_seen,
            BTreeSet::from([2]),
            "two digits after the point, always"
        );
    }
}
