//! The built-in market of `--demo`: a pure, seeded generator of deliveries with everything that occurs
//! in real feeds: each kind of anomaly, late and repeated deliveries, malformed entries, heartbeats.

mod asset;
mod delivery;
mod fault;
pub(crate) mod feeder;
mod source;
mod trade;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use asset::Asset;
pub use delivery::Delivery;
use fault::{Fault, Faults};
pub(crate) use source::DemoSource;
use trade::{Trade, Venue};

/// How often a caller should request deliveries, in milliseconds.
pub const STEP_MS: i64 = 100;

/// After a longer pause, only the last second is generated: a demo does not catch up.
const CATCH_UP_MS_MAX: i64 = 1_000;

/// One delivery in this many comes late.
const LATE_ONE_IN: u32 = 120;
/// How late such a delivery is: after the end of a minute candle, within the allowed lateness.
const LATE_MS: std::ops::RangeInclusive<i64> = 5_000..=40_000;
/// One delivery in this many is sent twice.
const REPEAT_ONE_IN: u32 = 100;
/// The time between the two.
const REPEAT_MS: std::ops::RangeInclusive<i64> = 0..=3_000;
/// The pause between two malformed entries.
const MALFORMED_PAUSE_MS: std::ops::RangeInclusive<i64> = 3_000..=9_000;
/// The pause between two heartbeats, which are valid but not prices.
const HEARTBEAT_PAUSE_MS: i64 = 5_000;
/// How long the market keeps the same pace.
const PACE_MS: std::ops::RangeInclusive<i64> = 8_000..=30_000;
/// The pace in percent of the usual one: calm to busy.
const PACE_PERCENT: std::ops::RangeInclusive<i64> = 50..=220;

/// A market of several tokens on several feeds. The same seed and the same calls give the same
/// deliveries.
#[derive(Debug)]
pub struct Market {
    rng: StdRng,
    assets: Vec<Asset>,
    /// Delayed deliveries, with the time at which they are sent.
    held: Vec<(i64, Delivery)>,
    /// The number of the next trade. It starts at the clock's time, so a restarted market does not
    /// repeat numbers.
    trade_number: i64,
    pace_percent: i64,
    pace_until_ms: i64,
    faults: Faults,
    last_fault: Option<(i64, Fault)>,
    malformed_at_ms: i64,
    malformed_count: usize,
    heartbeat_at_ms: i64,
    heartbeat_count: u64,
}

impl Market {
    /// Opens the market at `now_ms`, milliseconds since the epoch.
    #[must_use]
    pub fn new(seed: u64, now_ms: i64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let malformed_at_ms = now_ms + rng.random_range(MALFORMED_PAUSE_MS);
        Self {
            rng,
            assets: asset::all(now_ms),
            held: Vec::new(),
            // There are fewer than a thousand trades per millisecond, so two runs never share a number.
            trade_number: now_ms * 1_000,
            pace_percent: 100,
            pace_until_ms: now_ms,
            faults: Faults::new(now_ms),
            last_fault: None,
            malformed_at_ms,
            malformed_count: 0,
            heartbeat_at_ms: now_ms,
            heartbeat_count: 0,
        }
    }

    /// All deliveries between the last call and `now_ms`, in the order of arrival. It should be called
    /// every [`STEP_MS`]; after a longer pause, only the last second is generated.
    pub fn next_deliveries(&mut self, now_ms: i64) -> Vec<Delivery> {
        self.change_pace(now_ms);
        self.begin_fault(now_ms);
        let mut deliveries = self.take_held(now_ms);
        for delivery in self.fresh_deliveries(now_ms) {
            if self.one_in(LATE_ONE_IN) {
                let late_ms = self.rng.random_range(LATE_MS);
                self.held.push((now_ms + late_ms, delivery));
                continue;
            }
            if self.one_in(REPEAT_ONE_IN) {
                let pause_ms = self.rng.random_range(REPEAT_MS);
                self.held.push((now_ms + pause_ms, delivery.clone()));
            }
            deliveries.push(delivery);
        }
        deliveries
    }

    /// The trades since the last call, in each feed's format.
    fn fresh_deliveries(&mut self, now_ms: i64) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let mut entries = Vec::new();
        for trades in self.trade_by_feed(now_ms) {
            let Some(first) = trades.first() else {
                continue;
            };
            match first.venue {
                Venue::Ticks => entries.extend(trades.iter().map(delivery::ticks_entry)),
                Venue::Pool => deliveries.push(delivery::pool_trades(&trades)),
                Venue::Binance => deliveries.extend(trades.iter().map(delivery::binance_trade)),
                Venue::Coinbase => deliveries.push(delivery::coinbase_trades(&trades, now_ms)),
            }
        }
        if now_ms >= self.malformed_at_ms {
            self.malformed_at_ms = now_ms + self.rng.random_range(MALFORMED_PAUSE_MS);
            entries.push(delivery::malformed_entry(
                self.malformed_count,
                self.next_number(),
                now_ms,
            ));
            self.malformed_count += 1;
        }
        if !entries.is_empty() {
            deliveries.push(delivery::ticks_batch(entries));
        }
        if now_ms >= self.heartbeat_at_ms {
            self.heartbeat_at_ms = now_ms + HEARTBEAT_PAUSE_MS;
            self.heartbeat_count += 1;
            deliveries.push(delivery::coinbase_heartbeat(self.heartbeat_count, now_ms));
        }
        deliveries
    }

    /// The trades of each listing since the last call, in the order of time.
    fn trade_by_feed(&mut self, now_ms: i64) -> Vec<Vec<Trade>> {
        let mut by_feed = Vec::new();
        for asset in &mut self.assets {
            let rng = &mut self.rng;
            let times = asset.trade_times(rng, now_ms, CATCH_UP_MS_MAX, self.pace_percent);
            let listings = asset.listings();
            let first = by_feed.len();
            by_feed.resize_with(first + listings.len(), Vec::new);
            for at_ms in times {
                asset.move_to(rng, at_ms);
                let feed = rng.random_range(0..listings.len());
                self.trade_number += 1;
                if let Some(listing) = listings.get(feed)
                    && let Some(trades) = by_feed.get_mut(first + feed)
                {
                    trades.push(asset.trade(rng, listing, self.trade_number, at_ms));
                }
            }
        }
        by_feed
    }

    fn next_number(&mut self) -> i64 {
        self.trade_number += 1;
        self.trade_number
    }

    fn one_in(&mut self, many: u32) -> bool {
        self.rng.random_ratio(1, many)
    }

    fn change_pace(&mut self, now_ms: i64) {
        if now_ms >= self.pace_until_ms {
            self.pace_until_ms = now_ms + self.rng.random_range(PACE_MS);
            self.pace_percent = self.rng.random_range(PACE_PERCENT);
        }
    }

    fn begin_fault(&mut self, now_ms: i64) {
        if let Some(fault) = self.faults.begin_due(now_ms, &mut self.assets) {
            tracing::info!(token = fault.token(), kind = %fault.kind(), "a fault of the demo market begins");
            self.last_fault = Some((now_ms, fault));
        }
    }

    /// The last fault, with the time when it began.
    #[cfg(test)]
    fn last_fault(&self) -> Option<(i64, Fault)> {
        self.last_fault
    }

    fn take_held(&mut self, now_ms: i64) -> Vec<Delivery> {
        let mut due: Vec<_> = self
            .held
            .extract_if(.., |(at_ms, _)| *at_ms <= now_ms)
            .collect();
        due.sort_by_key(|(at_ms, _)| *at_ms);
        due.into_iter().map(|(_, delivery)| delivery).collect()
    }
}

#[cfg(test)]
mod tests;
