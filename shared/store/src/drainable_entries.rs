//! The outbox entries that may be drained.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Mutex, PoisonError};

use app::ports::OutboxId;

/// The entries that may be drained: those of earlier processes, and those that deliveries of this process
/// released. All others belong to deliveries in progress.
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
            self.with_numbers(|numbers| numbers.insert(number));
        }
    }

    /// Forgets an entry that was removed.
    pub(crate) fn remove(&self, OutboxId(number): OutboxId) {
        self.with_numbers(|numbers| numbers.remove(&number));
    }

    /// The last entry of earlier processes.
    pub(crate) fn earlier(&self) -> u64 {
        self.earlier
    }

    /// The first `limit` released entries of this process after a number.
    pub(crate) fn after(&self, number: u64, limit: usize) -> Vec<u64> {
        self.with_numbers(|numbers| {
            let next = numbers.range((Excluded(number.max(self.earlier)), Unbounded));
            next.take(limit).copied().collect()
        })
    }

    fn with_numbers<R>(&self, apply: impl FnOnce(&mut BTreeSet<u64>) -> R) -> R {
        apply(&mut self.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
