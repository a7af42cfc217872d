//! Candles: open, high, low, close, volumes and tick count of one interval. Merging the same ticks
//! in any order gives the same candle.

use serde::{Deserialize, Serialize};

use super::members::Member;
use super::{Interval, TotalVolume};
use crate::{Pair, Price, Tick, TickOrder, Token};

/// The price movement of a pair in one interval of event time.
///
/// Prices and counts are exact and do not depend on the order in which ticks arrived. The same
/// holds for the volume as long as its digits fit (see [`TotalVolume`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candle {
    /// What is priced (the base).
    pub token: Token,
    /// The currency of the prices.
    pub quote: Token,
    /// Its interval.
    pub interval: Interval,
    /// The first millisecond of the interval since the epoch (UTC).
    pub start_ms: i64,
    /// The price of the first tick.
    pub open: Price,
    /// The highest price.
    pub high: Price,
    /// The lowest price.
    pub low: Price,
    /// The price of the last tick.
    pub close: Price,
    /// Base units traded: the sum of the volumes that its ticks have. `None` if none has one, which
    /// is not the same as a volume of 0.
    pub volume: Option<TotalVolume>,
    /// Quote units traded: the sum of price × volume, over the ticks that have a volume. A double,
    /// so the order of merging shows in its last digits.
    pub quote_volume: f64,
    /// The number of ticks in it.
    pub tick_count: u64,
    /// The place of the first tick.
    pub first: TickOrder,
    /// The place of the last tick.
    pub last: TickOrder,
    /// 0 when first closed, and one more each time a late tick makes the store reissue it.
    pub revision: u32,
    /// Empty. It is in the layout of stored candles, which an upgrade would have to convert.
    pub members: Vec<Member>,
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

    /// The candle of that interval that contains only this tick.
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
            volume: tick.volume.map(TotalVolume::from),
            quote_volume: quote_volume(tick),
            tick_count: 1,
            first: tick.order(),
            last: tick.order(),
            revision: 0,
            members: Vec::new(),
        }
    }

    /// Adds the ticks of another part of the same candle. The parts must have no tick in common.
    ///
    /// Commutative and associative, except for the rounding of `quote_volume`. The revision becomes
    /// the greater of the two; whoever reissues the result adds one to it.
    ///
    /// Passing a part of a different candle (see [`Candle::is_part_of`]) is a bug in the caller;
    /// the part is ignored.
    pub fn merge(&mut self, other: &Self) {
        debug_assert!(
            other.is_part_of(self),
            "{other:?} is not a part of {self:?}"
        );
        if !other.is_part_of(self) {
            return;
        }
        if (other.first, other.open) < (self.first, self.open) {
            (self.first, self.open) = (other.first, other.open);
        }
        if (other.last, other.close) > (self.last, self.close) {
            (self.last, self.close) = (other.last, other.close);
        }
        self.high = self.high.max(other.high);
        self.low = self.low.min(other.low);
        self.volume = TotalVolume::sum(self.volume, other.volume);
        self.quote_volume += other.quote_volume;
        self.tick_count = self.tick_count.saturating_add(other.tick_count);
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

    /// The average price weighted by volume. `None` without volumes, or if they are 0.
    #[must_use]
    pub fn vwap(&self) -> Option<f64> {
        let volume = self.volume?.to_f64();
        (volume > 0.0).then(|| self.quote_volume / volume)
    }

    /// Same as `merge` with `Candle::of(tick, self.interval)`, without building that candle. A tick is added to a candle of
    /// each interval, so its [`quote_volume`] is passed.
    pub(super) fn add(&mut self, tick: &Tick, quote_volume: f64) {
        let (order, price) = (tick.order(), tick.price);
        if (order, price) < (self.first, self.open) {
            (self.first, self.open) = (order, price);
        }
        if (order, price) > (self.last, self.close) {
            (self.last, self.close) = (order, price);
        }
        self.high = self.high.max(tick.price);
        self.low = self.low.min(tick.price);
        if let Some(volume) = tick.volume {
            self.volume = TotalVolume::sum(self.volume, Some(volume.into()));
            self.quote_volume += quote_volume;
        }
        self.tick_count = self.tick_count.saturating_add(1);
    }
}

/// Quote units traded in one tick; 0 if the source reports no volume. At most 10^42, so no sum of
/// them overflows a double.
pub(super) fn quote_volume(tick: &Tick) -> f64 {
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

    /// Compares everything except the digits of `quote_volume` that rounding may change.
    fn assert_same(seen: &Candle, expected: &Candle) {
        let error = (seen.quote_volume - expected.quote_volume).abs();
        assert!(
            error <= 1e-9 * expected.quote_volume,
            "{seen:?} {expected:?}"
        );
        let rounded = Candle {
            quote_volume: expected.quote_volume,
            ..seen.clone()
        };
        assert_eq!(&rounded, expected);
    }

    /// Prices of ticks `(time, price, volume)` against `(open, high, low, close, volume, vwap)`.
    fn check(
        parts: &[(i64, &str, Option<&str>)],
        expected: (&str, &str, &str, &str, Option<&str>, Option<f64>),
    ) {
        let ticks: Vec<Tick> = (1..)
            .zip(parts)
            .map(|(id, (offset_ms, price, volume))| tick(id, START_MS + offset_ms, price, *volume))
            .collect();
        let candle = candle(&ticks);
        let seen = [candle.open, candle.high, candle.low, candle.close].map(|p| p.to_string());
        let (open, high, low, close, volume, vwap) = expected;
        assert_eq!(seen, [open, high, low, close], "{parts:?}");
        let total = candle.volume.map(|total| total.to_string());
        assert_eq!(total.as_deref(), volume, "{parts:?}");
        assert_eq!(candle.vwap(), vwap, "{parts:?}");
        assert_eq!(candle.tick_count, parts.len() as u64);
        assert_eq!(candle.end_ms(), START_MS + 3_600_000);
    }

    #[test]
    fn a_candle_has_first_and_last_prices_extremes_and_sums() {
        check(&[(5, "2", None)], ("2", "2", "2", "2", None, None));
        check(
            &[(0, "2", Some("1")), (10, "4", Some("3")), (20, "1.5", None)],
            ("2", "4", "1.5", "1.5", Some("4"), Some(3.5)),
        );
        // Out of order.
        check(
            &[(20, "3", Some("0.5")), (0, "9", Some("0")), (10, "1", None)],
            ("9", "9", "1", "3", Some("0.5"), Some(3.0)),
        );
        // A volume of 0 is not the same as none.
        check(
            &[(0, "2", Some("0")), (10, "3", None)],
            ("2", "3", "2", "3", Some("0"), None),
        );
        // At equal times the id decides, whichever tick arrived first.
        check(
            &[(7, "3", None), (7, "2", None)],
            ("3", "3", "2", "2", None, None),
        );
    }

    #[test]
    fn ties_in_time_are_broken_by_id_in_either_order() {
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
        fn adding_a_tick_equals_merging_its_candle(ticks in ticks(3_600_000, 1..40)) {
            let mut added = Candle::of(&ticks[0], Interval::OneHour);
            ticks[1..].iter().for_each(|tick| added.add(tick, quote_volume(tick)));
            prop_assert_eq!(added, candle(&ticks));
        }
    }
}
