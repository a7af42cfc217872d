//! One token's price: a mean-reverting random walk with jumps that fade, traded on several feeds.

use rand::RngExt;
use rand::rngs::StdRng;

use super::trade::{Trade, Venue};

/// The time scale of the walk's mean reversion, which keeps a demo of days in range.
const RETURN_S: f64 = 2_400.0;
/// The time scale in which a jump fades.
const JUMP_FADES_S: f64 = 25.0;
/// The pause between two jumps of one token.
const JUMP_PAUSE_MS: std::ops::RangeInclusive<i64> = 40_000..=420_000;
/// When the first token jumps first: late enough for a detector to know the usual volatility, and early
/// enough to be seen soon after the demo's start.
const FIRST_JUMP_MS: i64 = 55_000;
/// A jump's size in standard deviations of a minute's move: far outside the usual.
const JUMP_DEVIATIONS: std::ops::Range<f64> = 5.0..16.0;
/// Half of the bid-ask spread, as a share of the price.
const HALF_SPREAD: f64 = 0.000_04;
/// The median value of a trade in dollars.
const TRADE_WORTH: f64 = 900.0;
/// The standard deviation of the logarithm of trade values.
const TRADE_WORTH_SPREAD: f64 = 1.3;

/// A token in one quote on one feed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listing {
    quote: &'static str,
    venue: Venue,
}

/// The properties of a token of the market.
#[derive(Debug)]
struct Profile {
    token: &'static str,
    /// The price at the start, to which the walk reverts, in dollars.
    price: f64,
    /// Digits after the point in prices and in volumes.
    price_digits: usize,
    volume_digits: usize,
    /// The usual pause between two trades, all feeds together.
    pause_ms: i64,
    /// Standard deviation of the logarithm of the price over one second.
    volatility: f64,
    listings: &'static [Listing],
}

/// The tokens, from 10^5 down to 10^-9 dollars.
const PROFILES: &[Profile] = &[
    Profile {
        token: "BTC",
        price: 97_240.0,
        price_digits: 2,
        volume_digits: 8,
        pause_ms: 9,
        volatility: 0.000_09,
        listings: &[on("USDT", Venue::Binance), on("USD", Venue::Coinbase)],
    },
    Profile {
        token: "ETH",
        price: 3_412.0,
        price_digits: 2,
        volume_digits: 6,
        pause_ms: 14,
        volatility: 0.000_12,
        listings: &[on("USDT", Venue::Binance), on("USD", Venue::Coinbase)],
    },
    Profile {
        token: "SOL",
        price: 187.4,
        price_digits: 3,
        volume_digits: 4,
        pause_ms: 18,
        volatility: 0.000_16,
        listings: &[on("USDC", Venue::Ticks), on("USD", Venue::Coinbase)],
    },
    Profile {
        token: "WIF",
        price: 1.735,
        price_digits: 5,
        volume_digits: 2,
        pause_ms: 60,
        volatility: 0.000_28,
        listings: &[on("USDC", Venue::Ticks), on("USDT", Venue::Binance)],
    },
    Profile {
        token: "JUP",
        price: 0.842,
        price_digits: 5,
        volume_digits: 2,
        pause_ms: 40,
        volatility: 0.000_22,
        listings: &[on("USDC", Venue::Ticks)],
    },
    Profile {
        token: "BONK",
        price: 0.000_021_34,
        price_digits: 10,
        volume_digits: 0,
        pause_ms: 45,
        volatility: 0.000_3,
        listings: &[on("USDC", Venue::Ticks)],
    },
    Profile {
        token: "BABYDOGE",
        price: 0.000_000_001_87,
        price_digits: 15,
        volume_digits: 0,
        pause_ms: 160,
        volatility: 0.000_32,
        listings: &[on("USDC", Venue::Ticks)],
    },
];

const fn on(quote: &'static str, venue: Venue) -> Listing {
    Listing { quote, venue }
}

/// A token and its price.
#[derive(Debug)]
pub(super) struct Asset {
    profile: &'static Profile,
    /// The logarithms of the walk's price, and of what is left of a jump.
    walk: f64,
    jump: f64,
    walked_to_ms: i64,
    trade_at_ms: i64,
    jump_at_ms: i64,
}

/// Every token of the market, at its first price.
pub(super) fn all(rng: &mut StdRng, now_ms: i64) -> Vec<Asset> {
    let mut open = |profile: &'static Profile| Asset {
        profile,
        walk: profile.price.ln(),
        jump: 0.0,
        walked_to_ms: now_ms,
        trade_at_ms: now_ms,
        jump_at_ms: now_ms + rng.random_range(JUMP_PAUSE_MS),
    };
    let mut assets: Vec<_> = PROFILES.iter().map(&mut open).collect();
    if let Some(first) = assets.first_mut() {
        first.jump_at_ms = now_ms + FIRST_JUMP_MS;
    }
    assets
}

impl Asset {
    /// The feeds that this token trades on.
    pub(super) fn listings(&self) -> &'static [Listing] {
        self.profile.listings
    }

    /// When this token trades until `now_ms`, at a pace in percent of the usual one.
    pub(super) fn trade_times(
        &mut self,
        rng: &mut StdRng,
        now_ms: i64,
        catch_up_ms_max: i64,
        pace_percent: i64,
    ) -> Vec<i64> {
        self.trade_at_ms = self.trade_at_ms.max(now_ms - catch_up_ms_max);
        let mut times = Vec::new();
        while self.trade_at_ms <= now_ms {
            times.push(self.trade_at_ms);
            let usual_ms = rng.random_range(1..=2 * self.profile.pause_ms);
            self.trade_at_ms += (usual_ms * 100 / pace_percent).max(1);
        }
        times
    }

    /// No trade until then.
    pub(super) fn fall_silent(&mut self, until_ms: i64) {
        self.trade_at_ms = self.trade_at_ms.max(until_ms);
    }

    /// Moves the price on to that moment.
    pub(super) fn move_to(&mut self, rng: &mut StdRng, at_ms: i64) {
        let seconds = (at_ms - self.walked_to_ms).max(0) as f64 / 1_000.0;
        self.walked_to_ms = self.walked_to_ms.max(at_ms);
        self.walk += (self.profile.price.ln() - self.walk) * (seconds / RETURN_S).min(1.0);
        self.walk += self.profile.volatility * seconds.sqrt() * normal(rng);
        self.jump *= (-seconds / JUMP_FADES_S).exp();
        if at_ms >= self.jump_at_ms {
            self.jump_at_ms = at_ms + rng.random_range(JUMP_PAUSE_MS);
            let size =
                self.profile.volatility * 60.0_f64.sqrt() * rng.random_range(JUMP_DEVIATIONS);
            self.jump += if rng.random_bool(0.5) { size } else { -size };
        }
    }

    /// A trade at the price of this moment.
    pub(super) fn trade(
        &self,
        rng: &mut StdRng,
        listing: &Listing,
        number: i64,
        at_ms: i64,
    ) -> Trade {
        let price = (self.walk + self.jump).exp();
        let buys = rng.random_bool(0.5);
        let paid = price
            * if buys {
                1.0 + HALF_SPREAD
            } else {
                1.0 - HALF_SPREAD
            };
        let worth = TRADE_WORTH * (TRADE_WORTH_SPREAD * normal(rng)).exp();
        Trade {
            venue: listing.venue,
            token: self.profile.token,
            quote: listing.quote,
            price: format!("{paid:.*}", self.profile.price_digits),
            volume: format!("{:.*}", self.profile.volume_digits, worth / price),
            number,
            at_ms,
            buys,
        }
    }
}

/// A number of the standard normal distribution (Box and Muller's way).
fn normal(rng: &mut StdRng) -> f64 {
    // 1 − u lies in (0, 1], where the logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}
