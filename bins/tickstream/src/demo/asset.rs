//! One token's price: a mean-reverting random walk, traded on several feeds.

use rand::RngExt;
use rand::rngs::StdRng;

use super::trade::{Trade, Venue};

/// The time scale of the walk's mean reversion, which keeps a demo of days in range.
const RETURN_S: f64 = 2_400.0;
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
        listings: &[
            on("USDC", Venue::Ticks),
            on("USDC", Venue::Pool),
            on("USD", Venue::Coinbase),
        ],
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
    /// The logarithm of the price.
    walk: f64,
    walked_to_ms: i64,
    trade_at_ms: i64,
    disturbance: Disturbance,
}

/// What is wrong with a token's prices, and until when.
#[derive(Debug, Default)]
struct Disturbance {
    /// What the next trade's price becomes.
    next_trade: Option<fn(f64) -> f64>,
    spike_until_ms: i64,
    /// The logarithm of how far.
    spike: f64,
    repeated_until_ms: i64,
    repeated: Option<f64>,
    pool_away_until_ms: i64,
    /// The logarithm of how far.
    pool_away: f64,
    volatile_until_ms: i64,
    drift_until_ms: i64,
    /// The logarithm of the price a second.
    drift_per_s: f64,
}

/// How much more than usual a volatile price moves.
const VOLATILITY_FACTOR: f64 = 100.0;

/// Digits after the point of a price that is distorted: a reciprocal needs more than the price.
const DISTORTED_DIGITS: usize = 18;

/// Every token of the market, at its first price.
pub(super) fn all(now_ms: i64) -> Vec<Asset> {
    let open = |profile: &'static Profile| Asset {
        profile,
        walk: profile.price.ln(),
        walked_to_ms: now_ms,
        trade_at_ms: now_ms,
        disturbance: Disturbance::default(),
    };
    PROFILES.iter().map(open).collect()
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

    /// The token.
    pub(super) fn token(&self) -> &'static str {
        self.profile.token
    }

    /// The next trade has another price.
    pub(super) fn distort_next_trade(&mut self, distorted: fn(f64) -> f64) {
        self.disturbance.next_trade = Some(distorted);
    }

    /// The price moves by that share at once, and stays.
    pub(super) fn move_by(&mut self, share: f64) {
        self.walk += share.ln_1p();
    }

    /// The price is off by that share until then.
    pub(super) fn spike(&mut self, until_ms: i64, share: f64) {
        self.disturbance.spike_until_ms = until_ms;
        self.disturbance.spike = share.ln_1p();
    }

    /// All trades until then have the price of the next one.
    pub(super) fn repeat_price(&mut self, until_ms: i64) {
        self.disturbance.repeated_until_ms = until_ms;
        self.disturbance.repeated = None;
    }

    /// The price of the pool differs by that share until then.
    pub(super) fn move_pool(&mut self, until_ms: i64, share: f64) {
        self.disturbance.pool_away_until_ms = until_ms;
        self.disturbance.pool_away = share.ln_1p();
    }

    /// The price moves much more than usual until then.
    pub(super) fn raise_volatility(&mut self, until_ms: i64) {
        self.disturbance.volatile_until_ms = until_ms;
    }

    /// The price moves by that share in small steps.
    pub(super) fn drift(&mut self, from_ms: i64, until_ms: i64, share: f64) {
        let seconds = (until_ms - from_ms).max(1) as f64 / 1_000.0;
        self.disturbance.drift_until_ms = until_ms;
        self.disturbance.drift_per_s = share.ln_1p() / seconds;
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
        let factor = if at_ms < self.disturbance.volatile_until_ms {
            VOLATILITY_FACTOR
        } else {
            1.0
        };
        self.walk += factor * self.profile.volatility * seconds.sqrt() * normal(rng);
        if at_ms < self.disturbance.drift_until_ms {
            self.walk += self.disturbance.drift_per_s * seconds;
        }
    }

    /// A trade at the price of this moment.
    pub(super) fn trade(
        &mut self,
        rng: &mut StdRng,
        listing: &Listing,
        number: i64,
        at_ms: i64,
    ) -> Trade {
        let disturbance = &mut self.disturbance;
        let mut log_price = self.walk;
        if listing.venue == Venue::Pool && at_ms < disturbance.pool_away_until_ms {
            log_price += disturbance.pool_away;
        }
        if at_ms < disturbance.spike_until_ms {
            log_price += disturbance.spike;
        }
        let price = log_price.exp();
        let buys = rng.random_bool(0.5);
        let paid = price
            * if buys {
                1.0 + HALF_SPREAD
            } else {
                1.0 - HALF_SPREAD
            };
        let mut digits = self.profile.price_digits;
        let mut paid = paid;
        if at_ms < disturbance.repeated_until_ms {
            paid = *disturbance.repeated.get_or_insert(paid);
        } else if let Some(distorted) = disturbance.next_trade.take() {
            (paid, digits) = (distorted(paid), DISTORTED_DIGITS);
        }
        let worth = TRADE_WORTH * (TRADE_WORTH_SPREAD * normal(rng)).exp();
        Trade {
            venue: listing.venue,
            token: self.profile.token,
            quote: listing.quote,
            price: format!("{paid:.digits$}"),
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
