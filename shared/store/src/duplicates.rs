//! Decides whether a tick is a duplicate: whether it is stored already, or comes earlier in the same
//! commit.

use crate::error::StorageError;
use crate::keys::tick::{self, Identity};
use crate::keys::{arrival_stamped, day};
use crate::pairs::key_order;
use crate::writer::Commit;

impl Commit<'_> {
    /// Whether the tick is neither stored nor in this commit; if so, it is recorded as in this commit.
    /// It takes a lookup for each kept day that has ticks of its event day, and none if it is newer than
    /// all ticks of its pair.
    pub(crate) fn is_new(
        &mut self,
        pair: usize,
        tick: &domain::Tick,
        identity: &Identity,
    ) -> Result<bool, StorageError> {
        if self.fresh.contains(identity) {
            return Ok(false);
        }
        let last_key = self.pairs.get(pair).and_then(|pair| pair.state.last_key);
        if last_key >= Some(key_order(tick)) {
            let event_day = day::of(tick.timestamp_ms);
            let inner = self.inner;
            for day in inner
                .tick_days
                .days_with(inner.first_day(), event_day, event_day)
            {
                if inner.spaces.ticks.contains_key(tick::key(day, identity))? {
                    return Ok(false);
                }
            }
        }
        self.fresh.insert(*identity);
        Ok(true)
    }

    /// Whether an arrival-stamped tick is stored or in this commit, at whatever time. It takes a lookup for
    /// each kept day.
    pub(crate) fn has_arrival(&self, id: &[u8; 16]) -> Result<bool, StorageError> {
        if self.fresh_arrival_stamped.contains(id) {
            return Ok(true);
        }
        let inner = self.inner;
        for (day, _) in inner
            .tick_days
            .last_event_days(inner.first_day(), day::Day::MAX)
        {
            let key = arrival_stamped::key(day, id);
            if inner.spaces.arrival_stamped.contains_key(key)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Records an arrival-stamped tick as in this commit.
    pub(crate) fn add_arrival(&mut self, id: [u8; 16]) {
        self.fresh_arrival_stamped.insert(id);
    }

    /// Reverts what [`Commit::is_new`] and [`Commit::add_arrival`] recorded of a tick.
    pub(crate) fn forget(&mut self, identity: &Identity, arrival: Option<&[u8; 16]>) {
        self.fresh.remove(identity);
        if let Some(id) = arrival {
            self.fresh_arrival_stamped.remove(id);
        }
    }
}
