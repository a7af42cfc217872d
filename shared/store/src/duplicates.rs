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

    /// Whether an arrival-stamped tick was already stored, with another time.
    pub(crate) fn came_before(&mut self, id: &[u8; 16]) -> Result<bool, StorageError> {
        Ok(!self.fresh_arrival_stamped.insert(*id)
            || self.spaces().arrival_stamped.contains_key(id)?)
    }

    /// Reverts what [`Commit::is_new`] recorded.
    pub(crate) fn forget(&mut self, keys: &[TickKey]) {
        for key in keys {
            self.fresh.remove(key);
        }
    }
}
