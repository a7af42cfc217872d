//! What this process knows of the ticks that it has seen in the table, so that a sender's retry reads
//! and claims nothing again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use app::ports::CohortTick;
use domain::{Pair, Tick, TickId};

use super::attributes::ItemError;
use super::tick_item::ItemPlace;

/// The most ticks remembered, about 15 MB: two deliveries of the largest size. What was forgotten is
/// read again.
pub(crate) const KNOWN_TICKS_MAX: usize = 20_000;

/// What makes two ticks of deliveries the same, before the time of an arrival-stamped one is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum DeliveredIdentity {
    /// With an event time.
    Timed(ItemPlace),
    /// The time that it will be stored under is that of its first delivery.
    ArrivalStamped(Pair, TickId),
}

impl DeliveredIdentity {
    pub(crate) fn of(decided: &CohortTick, new_ids_from_ms: i64) -> Result<Self, ItemError> {
        let tick = &decided.tick;
        if decided.arrival_stamped {
            return Ok(Self::ArrivalStamped(Pair::of(tick), tick.tick_id));
        }
        ItemPlace::of(tick, new_ids_from_ms).map(Self::Timed)
    }
}

/// What is known of a tick.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Known {
    /// It is arrival-stamped and claimed for this time, in epoch milliseconds, and may be stored.
    Claimed(i64),
    /// It is stored. If it belongs to the stream, the tick as it is stored.
    Stored(Option<Tick>),
}

/// The newest [`KNOWN_TICKS_MAX`] ticks.
#[derive(Debug, Default)]
pub(crate) struct KnownTicks(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    ticks: HashMap<DeliveredIdentity, Known>,
    in_order: VecDeque<DeliveredIdentity>,
}

impl KnownTicks {
    pub(crate) fn find(&self, identity: &DeliveredIdentity) -> Option<Known> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.ticks.get(identity).cloned()
    }

    pub(crate) fn insert(&self, identity: &DeliveredIdentity, known: Known) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.ticks.insert(identity.clone(), known).is_none() {
            held.in_order.push_back(identity.clone());
        }
        if held.in_order.len() > KNOWN_TICKS_MAX
            && let Some(oldest) = held.in_order.pop_front()
        {
            held.ticks.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::ticks::{START_MS, tick};

    use super::*;

    fn decided(tick: Tick, arrival_stamped: bool) -> CohortTick {
        CohortTick {
            tick,
            in_cohort: true,
            arrival_stamped,
        }
    }

    fn identity(token: &str, n: usize) -> DeliveredIdentity {
        let made = tick(token, u32::try_from(n).unwrap());
        DeliveredIdentity::of(&decided(made, false), 0).unwrap()
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let known = KnownTicks::default();
        for n in 0..=KNOWN_TICKS_MAX {
            known.insert(&identity("BTC", n), Known::Stored(None));
        }
        assert_eq!(known.find(&identity("BTC", 0)), None);
        assert_eq!(known.find(&identity("BTC", 1)), Some(Known::Stored(None)));
        known.insert(&identity("BTC", 1), Known::Claimed(7));
        assert_eq!(known.find(&identity("BTC", 1)), Some(Known::Claimed(7)));
        assert!(known.find(&identity("BTC", 2)).is_some(), "not added twice");
    }

    #[test]
    fn an_arrival_stamped_tick_is_the_same_at_another_time() {
        let at = |at_ms| Tick {
            timestamp_ms: at_ms,
            ingested_at_ms: at_ms,
            ..tick("BTC", 1)
        };
        let of = |tick: Tick, stamped| DeliveredIdentity::of(&decided(tick, stamped), 0).unwrap();
        assert_eq!(of(at(START_MS), true), of(at(START_MS + 1), true));
        // A time of its own that equals our clock is an event time.
        assert_ne!(of(at(START_MS), false), of(at(START_MS + 1), false));
        assert_ne!(of(at(START_MS), false), of(at(START_MS), true));
        assert_ne!(identity("BTC", 1), identity("BTC", 2));
    }
}
