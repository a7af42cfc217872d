//! The ticks that this process has offered successfully, so that a sender's retry does not offer them
//! again.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use domain::Tick;
use domain::TickIdentity;

/// The most ticks remembered, about 20 MB. A retry comes within seconds; whatever was forgotten is
/// offered again, which changes no result.
pub const RECENT_OFFERS_MAX: usize = 100_000;

/// The ticks that the stream or the redrive queue has accepted from this process, the newest
/// [`RECENT_OFFERS_MAX`] of them.
#[derive(Debug, Default)]
pub struct RecentOffers {
    offered: Mutex<Offered>,
}

#[derive(Debug, Default)]
struct Offered {
    ticks: HashSet<TickIdentity>,
    in_order: VecDeque<TickIdentity>,
}

impl RecentOffers {
    /// Remembers ticks.
    pub(crate) fn add<'a>(&self, ticks: impl Iterator<Item = &'a Tick>) {
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        for tick in ticks {
            let identity = tick.identity();
            if offered.ticks.insert(identity.clone()) {
                offered.in_order.push_back(identity);
            }
            if offered.in_order.len() > RECENT_OFFERS_MAX
                && let Some(oldest) = offered.in_order.pop_front()
            {
                offered.ticks.remove(&oldest);
            }
        }
    }

    /// The ticks that are not known to have been accepted.
    pub(crate) fn unknown<'a>(&self, ticks: &'a [Tick]) -> Vec<&'a Tick> {
        if ticks.is_empty() {
            return Vec::new();
        }
        let offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        ticks
            .iter()
            .filter(|tick| !offered.ticks.contains(&tick.identity()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::ticks::tick;

    #[test]
    fn what_was_accepted_is_known_until_it_is_the_oldest() {
        let offers = RecentOffers::default();
        let ticks: Vec<Tick> = (0..3).map(|n| tick("BTC", n)).collect();
        offers.add(ticks.iter().take(2));
        assert_eq!(offers.unknown(&ticks), [&ticks[2]]);
        let others: Vec<Tick> = (0..RECENT_OFFERS_MAX)
            .map(|n| tick("ETH", u32::try_from(n).unwrap()))
            .collect();
        offers.add(others.iter().skip(1));
        assert_eq!(offers.unknown(&ticks), [&ticks[0], &ticks[2]]);
    }
}
