//! Decides whether a tick is a duplicate: whether it is stored already, or comes earlier in the same
//! commit.

use domain::Tick;

use crate::error::StorageError;
use crate::keys::tick::{self, TickKey};
use crate::writer::Commit;

impl Commit<'_> {
    /// Whether the tick is neither stored nor in this commit; if so, it is recorded as in this commit.
    pub(crate) fn is_new(&mut self, number: u32, tick: &Tick) -> Result<bool, StorageError> {
        let key = tick::key(number, tick.timestamp_ms, tick.tick_id.as_bytes());
        let pairs = &self.inner.pairs;
        if self.fresh.contains(&key)
            || !pairs.all_before(number, tick.timestamp_ms, tick.tick_id)
                && self.spaces().ticks.contains_key(key)?
        {
            return Ok(false);
        }
        self.fresh.insert(key);
        Ok(true)
    }

    /// Whether an arrival-stamped tick is stored or in this commit, at whatever time.
    pub(crate) fn has_arrival(&self, id: &[u8; 16]) -> Result<bool, StorageError> {
        Ok(self.fresh_arrival_stamped.contains(id)
            || self.spaces().arrival_stamped.contains_key(id)?)
    }

    /// Records an arrival-stamped tick as in this commit.
    pub(crate) fn add_arrival(&mut self, id: [u8; 16]) {
        self.fresh_arrival_stamped.insert(id);
    }

    /// Reverts what [`Commit::is_new`] and [`Commit::add_arrival`] recorded of a tick.
    pub(crate) fn forget(&mut self, key: &TickKey, arrival: Option<&[u8; 16]>) {
        self.fresh.remove(key);
        if let Some(id) = arrival {
            self.fresh_arrival_stamped.remove(id);
        }
    }
}
