//! The ledger: every entry that came in is stored, a duplicate, rejected or ignored, and every
//! stored tick of the cohort is in the stream, in the redrive queue or pending.

use std::collections::BTreeMap;

use domain::Reason;
use serde::{Deserialize, Serialize};

/// The counts of one delivery, or the sum of many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Entries that came in.
    pub received: u64,
    /// Of them, ticks that are stored.
    pub stored: u64,
    /// Of them, ticks that were stored before.
    pub duplicate: u64,
    /// Of them, refused, by reason.
    pub rejected_by_reason: BTreeMap<Reason, u64>,
    /// Of them, well-formed but not a price.
    pub ignored: u64,
    /// Stored ticks that belong to the rollout's cohort.
    pub in_cohort: u64,
    /// Of the cohort, appended to the stream.
    pub streamed: u64,
    /// Of the cohort, sent to the redrive queue because the stream refused them.
    pub redriven: u64,
}

impl LedgerEntry {
    /// Entries refused for any reason.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected_by_reason.values().sum()
    }

    /// Adds another entry.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.stored += other.stored;
        self.duplicate += other.duplicate;
        self.ignored += other.ignored;
        self.in_cohort += other.in_cohort;
        self.streamed += other.streamed;
        self.redriven += other.redriven;
        for (reason, count) in &other.rejected_by_reason {
            *self.rejected_by_reason.entry(*reason).or_default() += count;
        }
    }
}

/// The ledger at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerView {
    /// The sum over all committed deliveries.
    pub committed: LedgerEntry,
    /// Rows in the store, counted by the store itself as it wrote them.
    pub stored_rows: u64,
    /// Of them, rows whose delivery is not committed: those in outbox entries.
    pub pending_rows: u64,
    /// Entries in the quarantine, counted as they were kept.
    pub quarantined: u64,
}

impl LedgerView {
    /// Entries that came in, with those that are still under way.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.committed.received + self.pending_rows
    }

    /// How far the counters are from reconciling: the sum of both identities' differences, which is 0
    /// as long as nothing was lost or invented:
    /// received = stored + duplicate + rejected + ignored, and
    /// stored in cohort = streamed + redriven (+ pending, which no delivery has decided yet).
    #[must_use]
    pub fn difference(&self) -> u64 {
        let accounted = self.stored_rows
            + self.committed.duplicate
            + self.committed.rejected()
            + self.committed.ignored;
        let offered = self.committed.streamed + self.committed.redriven;
        self.received().abs_diff(accounted) + self.committed.in_cohort.abs_diff(offered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> LedgerEntry {
        LedgerEntry {
            received: 10,
            stored: 6,
            duplicate: 2,
            rejected_by_reason: BTreeMap::from([(Reason::InvalidPrice, 1)]),
            ignored: 1,
            in_cohort: 4,
            streamed: 3,
            redriven: 1,
        }
    }

    #[test]
    fn counters_that_reconcile_have_no_difference() {
        let view = LedgerView {
            committed: entry(),
            stored_rows: 9,
            pending_rows: 3,
            quarantined: 1,
        };
        assert_eq!(view.difference(), 0);
        assert_eq!(view.received(), 13);
    }

    #[test]
    fn a_lost_row_and_an_unstreamed_tick_show() {
        let mut view = LedgerView {
            committed: entry(),
            stored_rows: 5,
            ..LedgerView::default()
        };
        assert_eq!(view.difference(), 1);
        view.committed.streamed = 2;
        assert_eq!(view.difference(), 2);
    }

    #[test]
    fn sums_keep_reasons_apart() {
        let mut sum = entry();
        sum.add(&entry());
        assert_eq!(sum.rejected(), 2);
        assert_eq!(sum.received, 20);
    }
}
