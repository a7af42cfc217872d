//! The venues of one pair: finds one that departs from the others.

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};
use super::assessment::Detection;
use super::mean::Mean;
use super::past::{Past, Tail};

/// A pair has at most this many; beyond that, the one that was quiet for longest is forgotten.
const VENUES_MAX: usize = 8;

/// A price of another venue counts for this long.
const PRICE_AGE_MAX_MS: i64 = 60_000;

/// The usual distance of a venue is the mean over about this many ticks; a distance counts as at most this multiple of the
/// usual one.
const DISTANCE_SPAN: f32 = 256.0;
const GROWTH_MAX: f32 = 4.0;

/// Nothing is judged before this many ticks of the venue, nor are distances below this multiple of the usual one, which is
/// at least a basis point.
const TICKS_MIN: u32 = 64;
const RATIO_MIN: f32 = 4.0;
const NOISE: f32 = 1e-4;

/// The first distances only determine the premium and the usual distance.
const FIRST_TICKS: u32 = 16;

/// A distance this rare is a divergence once three prices of the venue have it, each after a new price of another venue:
/// one may be a mistake, and the others may need a tick to follow. If few distances have been seen, one that is expected
/// once in three times as many is rare enough.
const PROBABILITY_MAX: f32 = 1e-4;
const PASTS: f32 = 3.0;
const TICKS_AWAY: u32 = 3;

/// A venue that stays away for this many ticks has a new premium.
const TICKS_AWAY_MAX: u32 = 600;

/// A venue that is away after it repeated its price this often is stuck: the others have moved.
const SAME_TICKS_MIN: u32 = 8;

/// The latest prices of a pair's venues, and how far apart they usually are. At most 600 bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Venues {
    venues: Vec<Venue>,
    distances: Past,
    /// The venue of the last price.
    latest: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Venue {
    /// The caller's number for it.
    id: u32,
    last_ms: i64,
    log_price: f64,
    ticks: u32,
    /// The mean distance from the others (venues have a premium), and the mean distance from that.
    premium: Mean,
    size: Mean,
    /// For how many ticks it has been away: a divergence is reported only once.
    ticks_away: u32,
    /// For how many ticks its price has been the same, and since when.
    same_ticks: u32,
    same_since_ms: i64,
}

impl Venues {
    /// Compares a price of a venue with the median of the latest prices of the others, less their premiums; venues that are
    /// away themselves do not count. A divergence is reported when it begins. A price that is not above 0 is ignored.
    pub fn observe(&mut self, timestamp_ms: i64, venue: u32, price: f64) -> Option<Detection> {
        let log_price = price.ln();
        if !log_price.is_finite() {
            return None;
        }
        let others = self.median_of_others(timestamp_ms, venue);
        let at = self.position(timestamp_ms, venue, log_price);
        let others_moved = self.latest.replace(venue) != Some(venue);
        let past = f32::from(self.distances.samples());
        let probability_max = PROBABILITY_MAX.max(1.0 / (PASTS * past).max(1.0));
        let state = self.venues.get_mut(at)?;
        if log_price.to_bits() != state.log_price.to_bits() || state.same_ticks == 0 {
            (state.same_ticks, state.same_since_ms) = (0, timestamp_ms);
        }
        state.same_ticks = state.same_ticks.saturating_add(1);
        (state.last_ms, state.log_price) = (timestamp_ms, log_price);
        let others = others?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a difference needs seven digits"
        )]
        let difference = (log_price - others) as f32;
        let distance = (difference - state.premium.get()).abs();
        let usual = state.size.get() + NOISE;
        let ratio = distance / usual;
        let is_away = state.ticks >= TICKS_MIN
            && ratio >= RATIO_MIN
            && self.distances.tail_probability(ratio, Tail::OF_MOVES) <= probability_max;
        if is_away && !others_moved {
            // The others may have moved as far, and not traded since.
            return None;
        }
        if is_away && state.ticks_away < TICKS_AWAY_MAX {
            state.ticks_away += 1;
        } else if is_away {
            // It stays away: that is its premium now.
            (state.ticks, state.ticks_away) = (0, 0);
        } else {
            state.ticks_away = 0;
            if state.ticks >= FIRST_TICKS {
                self.distances.add(ratio);
            }
        }
        let begins = state.ticks_away == TICKS_AWAY;
        if state.ticks_away == 0 {
            state.ticks = state.ticks.saturating_add(1);
            #[expect(clippy::cast_precision_loss, reason = "its reciprocal is what counts")]
            let share = 1.0 / state.ticks as f32;
            state.premium.add(difference, DISTANCE_SPAN, share);
            let most = GROWTH_MAX * usual;
            state.size.add(distance.min(most), DISTANCE_SPAN, share);
        }
        let is_stuck = state.same_ticks >= SAME_TICKS_MIN;
        let (kind, window_ms) = if is_stuck {
            let same_ms = timestamp_ms.saturating_sub(state.same_since_ms);
            (AnomalyKind::StuckFeed, same_ms)
        } else {
            (AnomalyKind::Divergence, PRICE_AGE_MAX_MS)
        };
        begins.then(|| Detection {
            kind,
            direction: Direction::of(difference),
            quantity: Quantity::Value,
            expected: others.exp(),
            seen: price,
            window_ms,
        })
    }

    fn median_of_others(&self, timestamp_ms: i64, venue: u32) -> Option<f64> {
        let is_recent = |it: &&Venue| {
            let age_ms = timestamp_ms.saturating_sub(it.last_ms);
            it.id != venue && age_ms <= PRICE_AGE_MAX_MS
        };
        let recent = || self.venues.iter().filter(is_recent);
        // If some of them move, one that only repeats its price says nothing.
        let moves = |it: &&Venue| it.same_ticks < SAME_TICKS_MIN;
        let only_moving = recent().any(|it| moves(&it));
        let recent = recent().filter(|it| it.ticks_away == 0 && (moves(it) || !only_moving));
        let mut prices: Vec<f64> = recent
            .map(|it| it.log_price - f64::from(it.premium.get()))
            .collect();
        prices.sort_by(f64::total_cmp);
        let middle = prices.len() / 2;
        let upper = *prices.get(middle)?;
        let lower = match prices.len() % 2 {
            0 => *prices.get(middle.checked_sub(1)?)?,
            _ => upper,
        };
        Some(0.5 * (lower + upper))
    }

    /// The position of a venue, which is added if it is new.
    fn position(&mut self, timestamp_ms: i64, venue: u32, log_price: f64) -> usize {
        if let Some(at) = self.venues.iter().position(|it| it.id == venue) {
            return at;
        }
        if self.venues.len() >= VENUES_MAX {
            let quietest = self.venues.iter().enumerate();
            let quietest = quietest.min_by_key(|(_, it)| it.last_ms);
            if let Some((at, _)) = quietest {
                self.venues.swap_remove(at);
            }
        }
        self.venues.push(Venue {
            id: venue,
            last_ms: timestamp_ms,
            log_price,
            ticks: 0,
            premium: Mean::default(),
            size: Mean::default(),
            ticks_away: 0,
            same_ticks: 0,
            same_since_ms: timestamp_ms,
        });
        self.venues.len() - 1
    }
}
