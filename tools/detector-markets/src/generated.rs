//! Generated markets, which need no licence: heavy-tailed returns with clustered volatility, a daily rhythm and prices in
//! whole steps.
//!
//! The logarithm of the volatility reverts to its mean within hours, and volatility and trading depend on the hour of the
//! day. Trades come in bursts, on either side of a spread.

use crate::random::Random;
use crate::series::{Series, Tick};

const START_MS: i64 = 1_704_067_200_000;
const DAY_S: f64 = 86_400.0;

/// The size of daily returns: about 3 %.
const DAILY: f64 = 0.03;

/// The standard deviation of the logarithm of the volatility, and the time in which it reverts to its mean.
const VOLATILITY_SPREAD: f64 = 0.5;
const VOLATILITY_SPAN_S: f64 = 4.0 * 3_600.0;

/// The price moves in steps of 1/10,000 of its first value, and trades are one step away from the middle of the spread.
const STEP: f64 = 1e-4;

/// The price of a pair as time passes.
struct Market {
    random: Random,
    log_price: f64,
    log_volatility: f64,
    ms: i64,
}

impl Market {
    fn new(random: Random) -> Self {
        Self {
            random,
            log_price: 0.0,
            log_volatility: 0.0,
            ms: START_MS,
        }
    }

    /// How busy the market is at this time of day: from 0.4 to 1.6.
    fn activity(&self) -> f64 {
        let day = self.ms as f64 / 1_000.0 / DAY_S;
        1.0 + 0.6 * (std::f64::consts::TAU * day).sin()
    }

    fn pass(&mut self, seconds: f64) {
        self.ms += (seconds * 1_000.0).round() as i64;
        let back = (seconds / VOLATILITY_SPAN_S).min(1.0);
        let push = VOLATILITY_SPREAD * (2.0 * back).sqrt() * self.random.normal();
        self.log_volatility += push - back * self.log_volatility;
        let volatility = DAILY * (seconds / DAY_S).sqrt() * self.log_volatility.exp();
        // The standard deviation of t(3) is √3.
        let heavy = self.random.heavy() / 3.0_f64.sqrt();
        self.log_price += volatility * self.activity().sqrt() * heavy;
    }

    fn tick(&self, offset: f64) -> Tick {
        let price = 250.0 * (self.log_price + offset * STEP).exp();
        let step = 250.0 * STEP;
        Tick {
            ms: self.ms,
            price: (price / step).round() * step,
            venue: 0,
        }
    }
}

/// A price at regular intervals.
fn bars(name: &str, seed: u64, seconds: f64, count: usize) -> Series {
    let mut market = Market::new(Random::seeded(seed, name));
    let ticks = (0..count).map(|_| {
        market.pass(seconds);
        market.tick(0.0)
    });
    Series {
        name: name.to_owned(),
        ticks: ticks.collect(),
        is_split: false,
    }
}

/// Trades with this mean time between them, in seconds: half of them follow the one before after a tenth of it on average.
fn trades(name: &str, seed: u64, seconds: f64, count: usize) -> Series {
    let mut market = Market::new(Random::seeded(seed, name));
    let ticks = (0..count).map(|_| {
        let burst = market.random.uniform() < 0.5;
        let mean = if burst { 0.1 } else { 1.9 } * seconds / market.activity();
        let gap = -market.random.uniform().ln() * mean;
        market.pass(gap);
        let side = market.random.sign();
        market.tick(side)
    });
    Series {
        name: name.to_owned(),
        ticks: ticks.collect(),
        is_split: false,
    }
}

/// The generated series of a seed.
pub fn all(seed: u64) -> Vec<Series> {
    vec![
        trades("trades, one in 0.2 s", seed, 0.2, 100_000),
        trades("trades, one in 5 s", seed, 5.0, 60_000),
        trades("trades, one in 60 s", seed, 60.0, 20_000),
        bars("prices every second", seed, 1.0, 172_800),
        bars("prices every minute", seed, 60.0, 28_800),
        bars("prices every 5 minutes", seed, 300.0, 8_640),
    ]
}
