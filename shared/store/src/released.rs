//! Which outbox entries may be drained.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Mutex, PoisonError};

use app::ports::OutboxId;

/// Which entries may be drained: those of an earlier process, and those that a delivery of this one
/// released. All others belong to deliveries under way.
pub(crate) struct Released {
    /// The last entry of earlier processes.
    earlier: u64,
    numbers: Mutex<BTreeSet<u64>>,
}

impl Released {
    /// Releases all entries up to `earlier`.
    pub(crate) fn up_to(earlier: u64) -> Self {
        Self {
            earlier,
            numbers: Mutex::default(),
        }
    }

    /// Releases an entry whose delivery has ended.
    pub(crate) fn add(&self, OutboxId(number): OutboxId) {
        if number > self.earlier {
            self.look(|numbers| numbers.insert(number));
        }
    }

    /// Forgets an entry that was removed.
    pub(crate) fn remove(&self, OutboxId(number): OutboxId) {
        self.look(|numbers| numbers.remove(&number));
    }

    /// The last entry of earlier processes.
    pub(crate) fn earlier(&self) -> u64 {
        self.earlier
    }

    /// The first `limit` of this process after a number.
    pub(crate) fn after(&self, number: u64, limit: usize) -> Vec<u64> {
        self.look(|numbers| {
            let next = numbers.range((Excluded(number.max(self.earlier)), Unbounded));
            next.take(limit).copied().collect()
        })
    }

    fn look<R>(&self, look: impl FnOnce(&mut BTreeSet<u64>) -> R) -> R {
        look(&mut self.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
