//! What arrived in the last minutes, and in the hour before them: who looks at the status sees whether it is
//! otherwise than before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use app::ledger::LedgerView;
use domain::Reason;
use serde_json::{Value, json};

/// The length of the recent period.
const RECENT_MS: i64 = 5 * 60_000;

/// How long samples are kept: the recent period, and nearly an hour before it.
const KEPT_MS: i64 = 60 * 60_000;

/// The time between two samples.
const SAMPLE_MS: i64 = 10_000;

/// How long the number of pending ticks is remembered, by the second.
const PENDING_MS: i64 = 60_000;

/// The counters at one moment.
#[derive(Debug, Clone, Default)]
struct Sample {
    at_ms: i64,
    received: u64,
    stored: u64,
    completed: u64,
    pending: u64,
    in_cohort: u64,
    streamed: u64,
    redriven: u64,
    stream_records: u64,
    rejected_by_reason: BTreeMap<Reason, u64>,
    server_errors: u64,
}

/// Samples of the counters, oldest first.
#[derive(Debug, Default)]
pub(crate) struct TrafficHistory {
    kept: Mutex<Kept>,
    server_errors: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    samples: VecDeque<Sample>,
    pending: VecDeque<(i64, u64)>,
}

impl TrafficHistory {
    /// Counts a delivery that was answered with a 5xx.
    pub(crate) fn count_server_error(&self) {
        self.server_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers the counters, at most every [`SAMPLE_MS`]; called once a second.
    pub(crate) fn sample(&self, now_ms: i64, view: &LedgerView, stream_records: u64) {
        let sample = self.at(now_ms, view, stream_records);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { samples, pending } = &mut *kept;
        pending.push_back((now_ms, view.pending_rows));
        while pending
            .front()
            .is_some_and(|(at, _)| now_ms - at > PENDING_MS)
        {
            pending.pop_front();
        }
        if samples
            .back()
            .is_none_or(|last| now_ms - last.at_ms >= SAMPLE_MS)
        {
            samples.push_back(sample);
        }
        while samples
            .front()
            .is_some_and(|first| now_ms - first.at_ms > KEPT_MS)
        {
            samples.pop_front();
        }
    }

    /// The recent period and the one before, as JSON.
    pub(crate) fn periods(&self, now_ms: i64, view: &LedgerView, stream_records: u64) -> Value {
        let now = self.at(now_ms, view, stream_records);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = &kept.samples;
        let first = samples.front().unwrap_or(&now);
        // The last sample that is old enough, or the first one of a young process.
        let between = samples.iter().rev();
        let between = between.clone().find(|it| now_ms - it.at_ms >= RECENT_MS);
        let between = between.unwrap_or(first);
        json!({ "recent": now.since(between), "before": between.since(first) })
    }

    /// The fewest pending ticks at any time of the last minute, and how many seconds of it were seen: fewer after the
    /// start.
    pub(crate) fn pending_min(&self, now_ms: i64, view: &LedgerView) -> (u64, i64) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = kept.pending.iter().map(|(_, pending)| *pending);
        let since_ms = kept.pending.front().map_or(now_ms, |(at, _)| *at);
        let seconds = (now_ms - since_ms).clamp(0, PENDING_MS) / 1_000;
        (earlier.fold(view.pending_rows, u64::min), seconds)
    }

    fn at(&self, at_ms: i64, view: &LedgerView, stream_records: u64) -> Sample {
        Sample {
            at_ms,
            received: view.received(),
            stored: view.stored_rows,
            completed: view.committed.stored,
            pending: view.pending_rows,
            in_cohort: view.committed.in_cohort,
            streamed: view.committed.streamed,
            redriven: view.committed.redriven,
            stream_records,
            rejected_by_reason: view.committed.rejected_by_reason.clone(),
            server_errors: self.server_errors.load(Ordering::Relaxed),
        }
    }
}

impl Sample {
    /// What was counted since an earlier sample.
    fn since(&self, earlier: &Self) -> Value {
        let rejected: BTreeMap<Reason, u64> = self
            .rejected_by_reason
            .iter()
            .map(|(reason, count)| {
                let before = earlier.rejected_by_reason.get(reason);
                (*reason, count.saturating_sub(*before.unwrap_or(&0)))
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        let more = |count: fn(&Self) -> u64| count(self).saturating_sub(count(earlier));
        json!({
            "seconds": (self.at_ms - earlier.at_ms).max(0) / 1_000,
            "received": more(|it| it.received),
            "stored": more(|it| it.stored),
            // Those that were pending then are completed later, perhaps by the drain of another process's outbox.
            "completed": more(|it| it.completed),
            "stored_before_max": earlier.pending,
            "in_cohort": more(|it| it.in_cohort),
            "streamed": more(|it| it.streamed),
            "redriven": more(|it| it.redriven),
            "stream_records": more(|it| it.stream_records),
            "rejected_by_reason": rejected,
            "server_errors": more(|it| it.server_errors),
        })
    }
}

#[cfg(test)]
mod tests {
    use app::ledger::LedgerEntry;

    use super::*;

    fn view(stored: u64, rejected: u64, pending: u64) -> LedgerView {
        LedgerView {
            committed: LedgerEntry {
                received: stored + rejected,
                stored,
                in_cohort: stored,
                streamed: stored,
                rejected_by_reason: BTreeMap::from([(Reason::InvalidPrice, rejected)]),
                ..LedgerEntry::default()
            },
            stored_rows: stored,
            pending_rows: pending,
            quarantined: rejected,
        }
    }

    #[test]
    fn the_last_five_minutes_are_kept_apart_from_the_hour_before() {
        let history = TrafficHistory::default();
        for second in 0..=3_000_u64 {
            let now_ms = i64::try_from(second * 1_000).unwrap();
            // Nothing is malformed until the last minute.
            history.sample(
                now_ms,
                &view(second, second.saturating_sub(2_940), 0),
                second,
            );
        }
        history.count_server_error();
        let periods = history.periods(3_000_000, &view(3_000, 60, 0), 3_000);
        assert_eq!(periods["recent"]["seconds"], 300);
        assert_eq!(periods["recent"]["stored"], 300);
        assert_eq!(periods["recent"]["stream_records"], 300);
        assert_eq!(periods["recent"]["received"], 360);
        assert_eq!(
            periods["recent"]["rejected_by_reason"],
            json!({"invalid_price": 60})
        );
        assert_eq!(periods["recent"]["server_errors"], 1);
        assert_eq!(periods["before"]["seconds"], 2_700);
        assert_eq!(periods["before"]["received"], 2_700);
        assert_eq!(periods["before"]["rejected_by_reason"], json!({}));
    }

    #[test]
    fn a_young_process_has_a_short_period_and_none_before() {
        let history = TrafficHistory::default();
        let periods = history.periods(9_000, &view(5, 0, 0), 5);
        assert_eq!(periods["recent"]["seconds"], 0);
        history.sample(9_000, &view(5, 0, 0), 5);
        let periods = history.periods(29_000, &view(7, 0, 0), 7);
        assert_eq!(periods["recent"]["seconds"], 20);
        assert_eq!(periods["recent"]["stored"], 2);
        assert_eq!(periods["before"]["stored"], 0);
    }

    #[test]
    fn what_is_pending_all_the_time_is_told_from_what_is_under_way() {
        let history = TrafficHistory::default();
        for (second, pending) in [(0, 0), (10, 7), (40, 5), (70, 9)] {
            history.sample(second * 1_000, &view(10, 0, pending), 10);
        }
        // The first sample is older than a minute.
        assert_eq!(history.pending_min(70_000, &view(10, 0, 6)), (5, 60));
        assert_eq!(history.pending_min(70_000, &view(10, 0, 0)), (0, 60));
    }

    #[test]
    fn after_the_start_only_the_time_since_was_seen() {
        let history = TrafficHistory::default();
        assert_eq!(history.pending_min(5_000, &view(10, 0, 7)), (7, 0));
        history.sample(5_000, &view(10, 0, 7), 10);
        assert_eq!(history.pending_min(6_500, &view(10, 0, 7)), (7, 1));
    }

    #[test]
    fn what_an_earlier_process_stored_is_counted_where_it_is_completed() {
        let history = TrafficHistory::default();
        let counted = |stored_rows, completed, pending_rows| {
            let committed = LedgerEntry {
                stored: completed,
                in_cohort: completed,
                ..LedgerEntry::default()
            };
            LedgerView {
                committed,
                stored_rows,
                pending_rows,
                ..LedgerView::default()
            }
        };
        // 100 ticks of an earlier process wait in the outbox, and are drained.
        history.sample(0, &counted(100, 0, 100), 0);
        let recent = &history.periods(20_000, &counted(1_102, 1_102, 0), 0)["recent"];
        assert_eq!(recent["stored"], 1_002);
        assert_eq!(recent["completed"], 1_102);
        assert_eq!(recent["in_cohort"], 1_102);
        assert_eq!(recent["stored_before_max"], 100);
    }
}
