//! Moving averages over the last minute, five minutes and hour of event time.
//!
//! They depend on the set of ticks, not on their order (except for the last digits of a double).

use serde::{Deserialize, Serialize};

use crate::{Pair, Token};

/// How many buckets a window has: 60 divide one minute into seconds and one hour into minutes.
const BUCKETS: usize = 60;
const BUCKETS_I64: i64 = 60;

/// The lengths of the windows, in milliseconds: one minute, five minutes, one hour.
pub const WINDOWS_MS: [i64; 3] = [60_000, 300_000, 3_600_000];

/// The moving averages of a pair as of its newest tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Averages {
    /// What is priced (the base).
    pub token: Token,
    /// The currency of the prices.
    pub quote: Token,
    /// The newest event time seen, at which the windows end; 0 before the first tick.
    pub timestamp_ms: i64,
    /// One minute, five minutes and one hour.
    pub windows: [WindowAverages; 3],
}

impl Averages {
    /// The pair that it belongs to.
    #[must_use]
    pub fn pair(&self) -> Pair {
        Pair {
            token: self.token.clone(),
            quote: self.quote.clone(),
        }
    }
}

/// The averages over one window of event time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WindowAverages {
    /// The length of the window in milliseconds.
    pub window_ms: i64,
    /// The plain mean of the prices, each tick counting once. `None` before the first tick.
    ///
    /// The window has 60 buckets: the newest, which is still filling, and the 59 before it. So it
    /// covers up to one bucket (a sixtieth) less than its length.
    pub sma: Option<f64>,
    /// The mean of all prices, each weighted by e^(-age / τ) with τ half the window. `None` before
    /// the first tick.
    ///
    /// Half the window, because the mean age of a tick is half the window in the plain mean and τ
    /// in this one: both lag equally, and the weights of this one decay smoothly.
    pub ema: Option<f64>,
    /// The mean price weighted by volume, over the same buckets as `sma`. `None` if nothing was
    /// traded or no source reports volumes.
    pub vwap: Option<f64>,
    /// How many ticks are in the buckets.
    pub ticks: u64,
}

/// The sums behind one window's averages, about 2 KB.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub(super) struct Window {
    window_ms: i64,
    /// The newest event time, to which the fields below refer.
    newest_ms: Option<i64>,
    decayed_prices: f64,
    decayed_ticks: f64,
    /// Bucket number `n` (event time divided by the bucket's length) is in slot `n` mod 60.
    buckets: Box<[Bucket; BUCKETS]>,
}

/// The ticks of one sixtieth of a window. Amounts are at most 10^21, so no sum of them overflows a
/// double.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Bucket {
    ticks: u64,
    prices: f64,
    volume: f64,
    quote_volume: f64,
}

/// A window as stored: its non-empty buckets, each with its slot.
#[derive(Serialize, Deserialize)]
struct Stored {
    window_ms: i64,
    newest_ms: Option<i64>,
    decayed_prices: f64,
    decayed_ticks: f64,
    buckets: Vec<(u8, Bucket)>,
}

/// A stored window is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoredWindowError {
    /// Its length is not one of this version's windows.
    #[error(
        "the stored analytics state is damaged: it has a window of {0} ms, which does not \
             exist"
    )]
    Length(i64),
    /// A slot number that does not exist.
    #[error(
        "the stored analytics state is damaged: a window has a bucket in slot {0} of {BUCKETS}"
    )]
    Slot(u8),
}

impl Window {
    pub(super) fn new(window_ms: i64) -> Self {
        Self {
            window_ms,
            newest_ms: None,
            decayed_prices: 0.0,
            decayed_ticks: 0.0,
            buckets: Box::new([Bucket::default(); BUCKETS]),
        }
    }

    /// Adds a tick. A tick too old for the buckets still counts in the EMA, with its small weight.
    pub(super) fn add(&mut self, timestamp_ms: i64, price: f64, volume: Option<f64>) {
        let before_ms = self.newest_ms;
        let newest_ms = before_ms.map_or(timestamp_ms, |newest| newest.max(timestamp_ms));
        self.newest_ms = Some(newest_ms);
        self.add_decayed(
            before_ms.unwrap_or(newest_ms),
            newest_ms,
            timestamp_ms,
            price,
        );

        let newest = self.bucket_of(newest_ms);
        if let Some(before_ms) = before_ms {
            self.clear_between(self.bucket_of(before_ms), newest);
        }
        let number = self.bucket_of(timestamp_ms);
        if newest.saturating_sub(number) >= BUCKETS_I64 {
            return;
        }
        if let Some(bucket) = self.buckets.get_mut(slot_of(number)) {
            bucket.ticks += 1;
            bucket.prices += price;
            if let Some(volume) = volume {
                bucket.volume += volume;
                bucket.quote_volume += price * volume;
            }
        }
    }

    /// Decays the sums from `before_ms` to `newest_ms`, and adds a price.
    ///
    /// The newest tick always weighs 1, so the sum of weights never falls below 1, even after a
    /// long silence. The weights of the oldest ticks may underflow to 0.
    fn add_decayed(&mut self, before_ms: i64, newest_ms: i64, timestamp_ms: i64, price: f64) {
        let kept = self.weight(newest_ms.saturating_sub(before_ms));
        let weight = self.weight(newest_ms.saturating_sub(timestamp_ms));
        self.decayed_prices = self.decayed_prices * kept + price * weight;
        self.decayed_ticks = self.decayed_ticks * kept + weight;
    }

    /// e^(-age / τ).
    fn weight(&self, age_ms: i64) -> f64 {
        if age_ms <= 0 {
            return 1.0;
        }
        let tau_ms = as_f64(self.window_ms) / 2.0;
        (-as_f64(age_ms) / tau_ms).exp()
    }

    /// Empties the buckets that the window enters when its newest bucket moves from `before` to
    /// `newest`.
    fn clear_between(&mut self, before: i64, newest: i64) {
        let entered = newest.saturating_sub(before).min(BUCKETS_I64);
        for age in 0..entered {
            if let Some(bucket) = self.buckets.get_mut(slot_of(newest.saturating_sub(age))) {
                *bucket = Bucket::default();
            }
        }
    }

    fn bucket_of(&self, timestamp_ms: i64) -> i64 {
        timestamp_ms.div_euclid(self.window_ms / BUCKETS_I64)
    }

    pub(super) fn averages(&self) -> WindowAverages {
        let mut sum = Bucket::default();
        for bucket in self.buckets.iter() {
            sum.ticks += bucket.ticks;
            sum.prices += bucket.prices;
            sum.volume += bucket.volume;
            sum.quote_volume += bucket.quote_volume;
        }
        WindowAverages {
            window_ms: self.window_ms,
            sma: quotient(sum.prices, count_as_f64(sum.ticks)),
            ema: quotient(self.decayed_prices, self.decayed_ticks),
            vwap: quotient(sum.quote_volume, sum.volume),
            ticks: sum.ticks,
        }
    }
}

impl From<Window> for Stored {
    fn from(window: Window) -> Self {
        Self {
            window_ms: window.window_ms,
            newest_ms: window.newest_ms,
            decayed_prices: window.decayed_prices,
            decayed_ticks: window.decayed_ticks,
            buckets: (0..)
                .zip(*window.buckets)
                .filter(|(_, bucket)| bucket.ticks > 0)
                .collect(),
        }
    }
}

impl TryFrom<Stored> for Window {
    type Error = StoredWindowError;
    fn try_from(stored: Stored) -> Result<Self, StoredWindowError> {
        if !WINDOWS_MS.contains(&stored.window_ms) {
            return Err(StoredWindowError::Length(stored.window_ms));
        }
        let mut window = Self::new(stored.window_ms);
        window.newest_ms = stored.newest_ms;
        window.decayed_prices = stored.decayed_prices;
        window.decayed_ticks = stored.decayed_ticks;
        for (slot, bucket) in stored.buckets {
            match window.buckets.get_mut(usize::from(slot)) {
                Some(place) => *place = bucket,
                None => return Err(StoredWindowError::Slot(slot)),
            }
        }
        Ok(window)
    }
}

fn slot_of(number: i64) -> usize {
    usize::try_from(number.rem_euclid(BUCKETS_I64)).unwrap_or_default()
}

fn quotient(sum: f64, weight: f64) -> Option<f64> {
    (weight > 0.0).then(|| sum / weight)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "spans of time are far below 2^53 ms"
)]
fn as_f64(ms: i64) -> f64 {
    ms as f64
}

#[expect(clippy::cast_precision_loss, reason = "no window holds 2^53 ticks")]
fn count_as_f64(ticks: u64) -> f64 {
    ticks as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Observation = (i64, f64, Option<f64>);

    fn observations() -> impl Strategy<Value = Vec<Observation>> {
        let observation = (
            -4_000_000_i64..4_000_000,
            1.0_f64..100.0,
            prop::option::of(0.1_f64..10.0),
        );
        // Half of them within two minutes, so the short window is not empty.
        let near = (
            0_i64..120_000,
            1.0_f64..100.0,
            prop::option::of(0.1_f64..10.0),
        );
        prop::collection::vec(prop_oneof![observation, near], 1..80)
    }

    fn folded(window_ms: i64, observations: &[Observation]) -> WindowAverages {
        let mut window = Window::new(window_ms);
        for (timestamp_ms, price, volume) in observations {
            window.add(*timestamp_ms, *price, *volume);
        }
        window.averages()
    }

    fn mean(weighted: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
        let (sum, weights) = weighted.fold((0.0, 0.0), |(sum, weights), (value, w)| {
            (sum + value * w, weights + w)
        });
        (weights > 0.0).then(|| sum / weights)
    }

    fn assert_near(seen: Option<f64>, expected: Option<f64>) {
        match (seen, expected) {
            (Some(seen), Some(expected)) => {
                assert!(
                    (seen - expected).abs() <= 1e-9 * expected,
                    "{seen} {expected}"
                );
            }
            _ => assert_eq!(seen, expected),
        }
    }

    /// The averages by their definition, from all ticks.
    fn check(window_ms: i64, observations: &[Observation]) {
        let seen = folded(window_ms, observations);
        let newest_ms = observations.iter().map(|(ms, ..)| *ms).max().unwrap();
        let width = window_ms / 60;
        let oldest = newest_ms.div_euclid(width) * width - 59 * width;
        let inside: Vec<_> = observations
            .iter()
            .filter(|(ms, ..)| *ms >= oldest)
            .collect();
        assert_eq!(seen.ticks, inside.len() as u64);
        assert_near(
            seen.sma,
            mean(inside.iter().map(|(_, price, _)| (*price, 1.0))),
        );
        assert_near(
            seen.vwap,
            mean(
                inside
                    .iter()
                    .filter_map(|(_, price, volume)| Some((*price, (*volume)?))),
            ),
        );
        let tau_ms = window_ms as f64 / 2.0;
        assert_near(
            seen.ema,
            mean(
                observations
                    .iter()
                    .map(|(ms, price, _)| (*price, (-((newest_ms - ms) as f64) / tau_ms).exp())),
            ),
        );
        // The buckets cover everything younger than 59 buckets, and nothing older than 60.
        let younger_than = |age_ms| {
            observations
                .iter()
                .filter(|(ms, ..)| newest_ms - ms < age_ms)
                .count()
        };
        assert!(inside.len() >= younger_than(window_ms - width));
        assert!(inside.len() <= younger_than(window_ms));
    }

    #[test]
    fn a_window_drops_ticks_that_are_one_bucket_too_old() {
        let ticks = [
            (0, 10.0, Some(1.0)),
            (999, 20.0, Some(3.0)),
            (59_999, 30.0, None),
        ];
        let seen = folded(60_000, &ticks);
        assert_eq!(
            (seen.ticks, seen.sma, seen.vwap),
            (3, Some(20.0), Some(17.5))
        );
        let later = [&ticks[..], &[(60_000, 40.0, None)]].concat();
        let seen = folded(60_000, &later);
        assert_eq!((seen.ticks, seen.sma, seen.vwap), (2, Some(35.0), None));
    }

    #[test]
    fn after_a_long_silence_only_the_new_price_counts() {
        let seen = folded(60_000, &[(0, 10.0, None), (i64::MAX, 30.0, None)]);
        assert_eq!(
            (seen.ticks, seen.sma, seen.ema),
            (1, Some(30.0), Some(30.0))
        );
        let seen = folded(60_000, &[(i64::MAX, 30.0, None), (i64::MIN, 10.0, None)]);
        assert_eq!(
            (seen.ticks, seen.sma, seen.ema),
            (1, Some(30.0), Some(30.0))
        );
    }

    #[test]
    fn damaged_windows_are_refused() {
        let stored = |window_ms, slot| Stored {
            window_ms,
            newest_ms: Some(0),
            decayed_prices: 1.0,
            decayed_ticks: 1.0,
            buckets: vec![(slot, Bucket::default())],
        };
        assert!(Window::try_from(stored(60_000, 59)).is_ok());
        assert_eq!(
            Window::try_from(stored(60_000, 60)).err(),
            Some(StoredWindowError::Slot(60))
        );
        assert_eq!(
            Window::try_from(stored(0, 0)).err(),
            Some(StoredWindowError::Length(0))
        );
    }

    proptest! {
        #[test]
        fn averages_match_their_definition(observations in observations()) {
            for window_ms in WINDOWS_MS {
                check(window_ms, &observations);
            }
        }
    }
}
