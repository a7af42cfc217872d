//! Finds the entries that are not done.

use std::collections::BTreeMap;

use anyhow::bail;
use app::quarantine_review::{QuarantineFilter, ReviewedEntry};

use super::quarantine_access::QuarantineAccess;

/// The entries of a request: the most that a server lists.
const PAGE_ENTRIES: usize = 10_000;

/// In which order entries are replayed: those that were never replayed first, oldest first, then those whose replay is
/// longest ago. Entries that stay malformed do not keep others waiting.
type Turn = (i64, i64, String);

/// The entries that are not done, as far as they are within a limit.
pub(super) struct OpenEntries {
    limit: usize,
    first: BTreeMap<Turn, ReviewedEntry>,
    beyond_limit: u64,
}

impl OpenEntries {
    /// The first entries that match and are not done, in the order in which they were received, and how many more there
    /// are. All that match are read, since only an entry itself says whether it is done.
    ///
    /// # Errors
    /// If the quarantine cannot be read.
    pub(super) async fn find(
        place: &QuarantineAccess,
        mut filter: QuarantineFilter,
        limit: usize,
    ) -> anyhow::Result<(Vec<ReviewedEntry>, u64)> {
        let mut open = Self {
            limit,
            first: BTreeMap::new(),
            beyond_limit: 0,
        };
        loop {
            let mut page = place.entries(&filter, PAGE_ENTRIES).await?;
            let is_last = page.len() < PAGE_ENTRIES;
            let oldest_ms = page.last().map_or(filter.from_ms, received_ms);
            if !is_last {
                // Others of the same millisecond may follow: they are read with the next page.
                page.retain(|entry| received_ms(entry) > oldest_ms);
                if page.is_empty() {
                    bail!(
                        "more than {PAGE_ENTRIES} entries were received in the millisecond {oldest_ms}: use --to \
                         {oldest_ms} for those before, or pass the ids of entries"
                    );
                }
            }
            page.into_iter().for_each(|entry| open.add(entry));
            if is_last {
                return Ok(open.in_order());
            }
            filter.to_ms = oldest_ms + 1;
        }
    }

    fn add(&mut self, entry: ReviewedEntry) {
        let replayed = entry.replayed.as_ref();
        if replayed.is_some_and(|it| it.outcome.is_final()) {
            return;
        }
        let replayed_ms = replayed.map_or(i64::MIN, |it| it.at_ms);
        let turn = (replayed_ms, received_ms(&entry), entry.id.clone());
        self.first.insert(turn, entry);
        if self.first.len() > self.limit {
            self.first.pop_last();
            self.beyond_limit += 1;
        }
    }

    fn in_order(self) -> (Vec<ReviewedEntry>, u64) {
        let mut entries: Vec<ReviewedEntry> = self.first.into_values().collect();
        entries.sort_by_key(received_ms);
        (entries, self.beyond_limit)
    }
}

fn received_ms(entry: &ReviewedEntry) -> i64 {
    entry.kept.received_at_ms
}

#[cfg(test)]
mod tests {
    use app::ports::Quarantined;
    use app::quarantine_review::{EntryOutcome, ReplayRecord};
    use domain::{Malformed, Reason};

    use super::*;

    fn entry(received_at_ms: i64, replayed: Option<(i64, EntryOutcome)>) -> ReviewedEntry {
        ReviewedEntry {
            id: format!("{received_at_ms}-1"),
            kept: Quarantined {
                received_at_ms,
                source: "ticks".to_owned(),
                entry: Malformed::new(0, Reason::MissingField, "no", b"{}"),
            },
            replayed: replayed.map(|(at_ms, outcome)| ReplayRecord {
                at_ms,
                who: "ann".to_owned(),
                outcome,
            }),
        }
    }

    #[test]
    fn entries_that_stay_malformed_do_not_keep_others_waiting() {
        let left = |at_ms| {
            let why = "it was cut".to_owned();
            Some((at_ms, EntryOutcome::NotReplayable { why }))
        };
        let done = Some((90, EntryOutcome::Stored { ticks: 1 }));
        let all = [
            entry(9, None),
            entry(8, None),
            entry(7, done),
            entry(6, left(80)),
            entry(5, None),
            entry(1, left(70)),
        ];
        let first = |limit| {
            let mut open = OpenEntries {
                limit,
                first: BTreeMap::new(),
                beyond_limit: 0,
            };
            all.iter().for_each(|it| open.add(it.clone()));
            let (entries, beyond_limit) = open.in_order();
            let received: Vec<i64> = entries.iter().map(received_ms).collect();
            (received, beyond_limit)
        };
        assert_eq!(first(2), (vec![5, 8], 3));
        assert_eq!(first(4), (vec![1, 5, 8, 9], 1));
        assert_eq!(first(9), (vec![1, 5, 6, 8, 9], 0));
    }
}
