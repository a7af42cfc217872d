//! Candles: open, high, low, close, volume and number of trades of one interval, merged from ticks
//! in any order with the same result.

use serde::{Deserialize, Serialize};

use super::{Interval, TotalVolume};
use crate::{Pair, Price, Tick, TickId, Token};

/// What happened to the price of a pair in one interval of event time.
///
/// Prices and counts are exact and do not depend on the order in which ticks came; nor does the
/// volume while its digits fit (see [`TotalVolume`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candle {
    /// What is priced (the base).
    pub token: Token,
    /// What the prices are in.
    pub quote: Token,
    /// How long it lasts.
    pub interval: Interval,
    /// The first millisecond of the interval since the epoch (UTC).
    pub start_ms: i64,
    /// The price of the first tick by (event time, tick id).
    pub open: Price,
    /// The highest price.
    pub high: Price,
    /// The lowest price.
    pub low: Price,
    /// The price of the last tick by (event time, tick id).
    pub close: Price,
    /// Base units traded; 0 where no source gives a volume.
    pub volume: TotalVolume,
    /// Quote units traded: the sum of price × volume. A double, so the order of merging shows in
    /// its last digits.
    pub notional: f64,
    /// How many ticks are in it.
    pub trades: u64,
    /// Event time of the first tick.
    pub first_ms: i64,
    /// The first tick: of several at the same time, the one with the least id.
    pub first_id: TickId,
    /// Event time of the last tick.
    pub last_ms: i64,
    /// The last tick: of several at the same time, the one with the greatest id.
    pub last_id: TickId,
    /// 0 as first closed, one more each time that a late tick makes the store issue it again.
    pub revision: u32,
}

impl Candle {
    /// The pair that it belongs to.
    #[must_use]
    pub fn pair(&self) -> Pair {
        Pair {
            token: self.token.clone(),
            quote: self.quote.clone(),
        }
    }

    /// The candle of that interval that holds this tick and no other.
    #[must_use]
    pub fn of(tick: &Tick, interval: Interval) -> Self {
        Self {
            token: tick.token.clone(),
            quote: tick.quote.clone(),
            interval,
            start_ms: interval.start_of(tick.timestamp_ms),
            open: tick.price,
            high: tick.price,
            low: tick.price,
            close: tick.price,
            volume: tick.volume.map(TotalVolume::from).unwrap_or_default(),
            notional: notional(tick),
            trades: 1,
            first_ms: tick.timestamp_ms,
            first_id: tick.tick_id,
            last_ms: tick.timestamp_ms,
            last_id: tick.tick_id,
            revision: 0,
        }
    }

    /// Adds the ticks of another part of the same candle. The parts must have no tick in common.
    ///
    /// Commutative and associative, but for the rounding of `notional`. The revision becomes the
    /// greater of the two; who issues the result again adds one to it.
    ///
    /// A part of a different candle (see [`Candle::is_part_of`]) is a mistake of the caller; it
    /// is left out.
    pub fn merge(&mut self, other: &Self) {
        debug_assert!(other.is_part_of(self), "{other:?} is no part of {self:?}");
        if !other.is_part_of(self) {
            return;
        }
        let first = (other.first_ms, other.first_id, other.open);
        if first < (self.first_ms, self.first_id, self.open) {
            (self.first_ms, self.first_id, self.open) = first;
        }
        let last = (other.last_ms, other.last_id, other.close);
        if last > (self.last_ms, self.last_id, self.close) {
            (self.last_ms, self.last_id, self.close) = last;
        }
        self.high = self.high.max(other.high);
        self.low = self.low.min(other.low);
        self.volume = self.volume.plus(other.volume);
        self.notional += other.notional;
        self.trades = self.trades.saturating_add(other.trades);
        self.revision = self.revision.max(other.revision);
    }

    /// Whether both are of the same pair, interval and start.
    #[must_use]
    pub fn is_part_of(&self, other: &Self) -> bool {
        (self.start_ms, self.interval) == (other.start_ms, other.interval)
            && self.token == other.token
            && self.quote == other.quote
    }

    /// The first millisecond after the interval.
    #[must_use]
    pub fn end_ms(&self) -> i64 {
        self.start_ms.saturating_add(self.interval.duration_ms())
    }

    /// The average price weighted by volume. `None` where nothing was traded.
    #[must_use]
    pub fn vwap(&self) -> Option<f64> {
        let volume = self.volume.to_f64();
        (volume > 0.0).then(|| self.notional / volume)
    }

    /// As `merge` with `Candle::of(tick, self.interval)`, without building it.
    pub(super) fn add(&mut self, tick: &Tick) {
        let point = (tick.timestamp_ms, tick.tick_id, tick.price);
        if point < (self.first_ms, self.first_id, self.open) {
            (self.first_ms, self.first_id, self.open) = point;
        }
        if point > (self.last_ms, self.last_id, self.close) {
            (self.last_ms, self.last_id, self.close) = point;
        }
        self.high = self.high.max(tick.price);
        self.low = self.low.min(tick.price);
        if let Some(volume) = tick.volume {
            self.volume = self.volume.plus(volume.into());
            self.notional += notional(tick);
        }
        self.trades = self.trades.saturating_add(1);
    }
}

/// Quote units traded in one tick, 0 where the source gives no volume. At most 10^42, so that no
/// sum of them leaves the doubles.
fn notional(tick: &Tick) -> f64 {
    tick.volume
        .map_or(0.0, |volume| tick.price.to_f64() * volume.to_f64())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{START_MS, tick, ticks};
    use super::*;

    fn candle(ticks: &[Tick]) -> Candle {
        let mut parts = ticks.iter().map(|tick| Candle::of(tick, Interval::OneHour));
        let mut candle = parts.next().unwrap();
        parts.for_each(|part| candle.merge(&part));
        candle
    }

    /// Everything but the digits of `notional` that rounding may change.
    fn assert_same(seen: &Candle, expected: &Candle) {
        let error = (seen.notional - expected.notional).abs();
        assert!(error <= 1e-9 * expected.notional, "{seen:?} {expected:?}");
        let rounded = Candle {
            notional: expected.notional,
            ..seen.clone()
        };
        assert_eq!(&rounded, expected);
    }

    /// Prices of ticks `(time, price, volume)` against `(open, high, low, close, volume, vwap)`.
    fn check(
        parts: &[(i64, &str, Option<&str>)],
        expected: (&str, &str, &str, &str, &str, Option<f64>),
    ) {
        let ticks: Vec<Tick> = (1..)
            .zip(parts)
            .map(|(id, (offset_ms, price, volume))| tick(id, START_MS + offset_ms, price, *volume))
            .collect();
        let candle = candle(&ticks);
        let seen = [candle.open, candle.high, candle.low, candle.close].map(|p| p.to_string());
        let (open, high, low, close, volume, vwap) = expected;
        assert_eq!(seen, [open, high, low, close], "{parts:?}");
        assert_eq!(candle.volume.to_string(), volume, "{parts:?}");
        assert_eq!(candle.vwap(), vwap, "{parts:?}");
        assert_eq!(candle.trades, parts.len() as u64);
        assert_eq!(candle.end_ms(), START_MS + 3_600_000);
    }

    #[test]
    fn a_candle_holds_first_extremes_last_and_sums() {
        check(&[(5, "2", None)], ("2", "2", "2", "2", "0", None));
        check(
            &[(0, "2", Some("1")), (10, "4", Some("3")), (20, "1.5", None)],
            ("2", "4", "1.5", "1.5", "4", Some(3.5)),
        );
        // Out of order.
        check(
            &[(20, "3", Some("0.5")), (0, "9", Some("0")), (10, "1", None)],
            ("9", "9", "1", "3", "0.5", Some(3.0)),
        );
        // At one time the id decides, whichever came first.
        check(
            &[(7, "3", None), (7, "2", None)],
            ("3", "3", "2", "2", "0", None),
        );
    }

    #[test]
    fn times_tied_are_decided_by_id_in_either_order() {
        let [a, b] = [tick(1, START_MS, "3", None), tick(2, START_MS, "2", None)];
        assert_eq!(candle(&[a.clone(), b.clone()]), candle(&[b, a]));
    }

    proptest! {
        #[test]
        fn merging_does_not_depend_on_order_or_grouping(
            ticks in ticks(3_600_000, 2..40),
            cut in any::<prop::sample::Index>(),
            order in any::<u64>(),
        ) {
            let whole = candle(&ticks);
            let (left, right) = ticks.split_at(1 + cut.index(ticks.len() - 1));
            let [left, right] = [candle(left), candle(right)];
            let mut joined = left.clone();
            joined.merge(&right);
            assert_same(&joined, &whole);
            let mut joined = right;
            joined.merge(&left);
            assert_same(&joined, &whole);

            let mut shuffled = ticks;
            shuffled.sort_by_key(|tick| order.wrapping_mul(u64::from(tick.tick_id.as_bytes()[15]) * 2 + 1));
            assert_same(&candle(&shuffled), &whole);
        }

        #[test]
        fn adding_a_tick_is_merging_its_candle(ticks in ticks(3_600_000, 1..40)) {
            let mut added = Candle::of(&ticks[0], Interval::OneHour);
            ticks[1..].iter().for_each(|tick| added.add(tick));
            prop_assert_eq!(added, candle(&ticks));
        }
    }
}
