//! What the metrics of a project on AWS say, as the checks want it.

use std::collections::BTreeMap;

use super::observations::{
    Broadcasts, ConsumerLag, Files, Ledger, Queues, Throttles, Traffic, TrafficPeriods,
};
use crate::project_series::{MINUTE_MS, ProjectMetric, ProjectSeries};

/// How late metrics may be: the minutes since are not complete.
const LATE_MS: i64 = 3 * MINUTE_MS;

/// The length of the recent period.
const RECENT_MS: i64 = 10 * MINUTE_MS;

/// The length of the period before.
const BEFORE_MS: i64 = 50 * MINUTE_MS;

/// The metrics of a project at a time.
#[derive(Debug, Clone)]
pub struct CloudObservations {
    series: ProjectSeries,
    now_ms: i64,
}

impl CloudObservations {
    /// From which time on metrics are needed, in epoch milliseconds.
    #[must_use]
    pub fn from_ms(now_ms: i64) -> i64 {
        now_ms - LATE_MS - RECENT_MS - BEFORE_MS
    }

    /// What they say at a time.
    #[must_use]
    pub fn new(series: ProjectSeries, now_ms: i64) -> Self {
        Self { series, now_ms }
    }

    /// The last ten complete minutes, and the fifty before.
    #[must_use]
    pub fn traffic(&self) -> TrafficPeriods {
        let to_ms = self.now_ms - LATE_MS;
        let between_ms = to_ms - RECENT_MS;
        TrafficPeriods {
            recent: self.period(between_ms, to_ms),
            before: self.period(between_ms - BEFORE_MS, between_ms),
        }
    }

    /// When the recent period begins, in epoch milliseconds.
    #[must_use]
    pub fn recent_from_ms(&self) -> i64 {
        self.now_ms - LATE_MS - RECENT_MS
    }

    fn period(&self, from_ms: i64, to_ms: i64) -> Traffic {
        let sum = |metric| self.series.sum(metric, from_ms, to_ms);
        let count = |metric| whole(sum(metric));
        let [streamed, redriven, pending] = [
            count(ProjectMetric::Streamed),
            count(ProjectMetric::Redriven),
            count(ProjectMetric::Pending),
        ];
        // Without traffic there are no metrics of it, which is not an error.
        let of_server = [
            ProjectMetric::ServerErrors,
            ProjectMetric::UrlServerErrors,
            ProjectMetric::WebhookErrors,
        ];
        Traffic {
            seconds: u64::try_from((to_ms - from_ms) / 1_000).unwrap_or(0),
            received: count(ProjectMetric::Received),
            stored: count(ProjectMetric::Stored),
            // A delivery counts all of it when it ends.
            completed: Some(count(ProjectMetric::Stored)),
            stored_before_max: 0,
            in_cohort: streamed + redriven + pending,
            streamed,
            redriven,
            stream_records: count(ProjectMetric::StreamRecords),
            rejected_by_reason: BTreeMap::from([(
                "any".to_owned(),
                count(ProjectMetric::Rejected),
            )]),
            server_errors: Some(of_server.map(count).into_iter().max().unwrap_or(0)),
        }
    }

    /// How far analytics is behind. Lambda reports that when it invokes the function, and nothing at all if it does not
    /// read the stream.
    #[must_use]
    pub fn lag(&self) -> Vec<ConsumerLag> {
        let age_ms = self.recent(ProjectMetric::IteratorAge, ProjectSeries::last);
        let is_silent = age_ms.is_none() && self.traffic().recent.streamed > 0;
        vec![ConsumerLag {
            name: "analytics".to_owned(),
            records: None,
            age_ms: i64::try_from(whole(age_ms)).unwrap_or(i64::MAX),
            every_ms: 0,
            down_ms: is_silent.then_some(RECENT_MS),
            set_aside: 0,
        }]
    }

    /// The counters of the last hour.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let (from_ms, to_ms) = (Self::from_ms(self.now_ms), self.now_ms - LATE_MS);
        let count = |metric| whole(self.series.sum(metric, from_ms, to_ms));
        let [received, stored, duplicate, rejected, ignored] = [
            ProjectMetric::Received,
            ProjectMetric::Stored,
            ProjectMetric::Duplicate,
            ProjectMetric::Rejected,
            ProjectMetric::Ignored,
        ]
        .map(count);
        Ledger {
            received,
            stored,
            duplicate,
            rejected,
            ignored,
            difference: received.abs_diff(stored + duplicate + rejected + ignored),
        }
    }

    /// What Firehose says of the archive's files.
    #[must_use]
    pub fn files(&self) -> Files {
        let seconds = self.recent(ProjectMetric::ArchiveFreshness, ProjectSeries::last);
        let ms = seconds.map(|seconds| whole(Some(seconds)).saturating_mul(1_000));
        Files {
            newest_age_ms: None,
            waiting: None,
            waiting_ms: ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
            every_ms: 0,
            streamed: self.traffic().recent.streamed,
            problem: None,
            down_ms: None,
        }
    }

    /// The live feed.
    #[must_use]
    pub fn broadcasts(&self) -> Broadcasts {
        let seconds = self.recent(ProjectMetric::BroadcastAge, ProjectSeries::last);
        let waiting_ms = whole(seconds).saturating_mul(1_000);
        let failures = self.recent(ProjectMetric::BroadcastErrors, ProjectSeries::sum);
        let given_up = self.recent(ProjectMetric::BroadcastDlq, ProjectSeries::last);
        Broadcasts {
            readers: None,
            waiting_ms: i64::try_from(waiting_ms).unwrap_or(i64::MAX),
            given_up: whole(given_up),
            failures: whole(failures),
        }
    }

    /// What quotas refused.
    #[must_use]
    pub fn throttles(&self) -> Throttles {
        let count = |metric| whole(self.recent(metric, ProjectSeries::sum));
        Throttles {
            invocations: count(ProjectMetric::ThrottledInvocations),
            writes: count(ProjectMetric::ThrottledWrites),
            records: count(ProjectMetric::ThrottledRecords),
        }
    }

    /// What waits in queues.
    #[must_use]
    pub fn queues(&self) -> Queues {
        let depth = |metric| whole(self.recent(metric, ProjectSeries::last));
        Queues {
            redrive: depth(ProjectMetric::Redrive),
            redrive_dlq: depth(ProjectMetric::RedriveDlq),
            analytics_failed: depth(ProjectMetric::AnalyticsFailed),
        }
    }

    /// Over the recent period, with what is there of the minutes since.
    fn recent(
        &self,
        metric: ProjectMetric,
        fold: fn(&ProjectSeries, ProjectMetric, i64, i64) -> Option<f64>,
    ) -> Option<f64> {
        fold(
            &self.series,
            metric,
            self.now_ms - LATE_MS - RECENT_MS,
            self.now_ms + MINUTE_MS,
        )
    }
}

/// A count that CloudWatch returns as a double; 0 without data.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is at least 0, and counts are far below 2^53"
)]
fn whole(value: Option<f64>) -> u64 {
    value.unwrap_or(0.0).max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 100 * MINUTE_MS;

    fn series(points: &[(ProjectMetric, i64, f64)]) -> ProjectSeries {
        let mut series = ProjectSeries::default();
        for (metric, minutes_ago, value) in points {
            series.insert(*metric, NOW_MS - minutes_ago * MINUTE_MS, *value);
        }
        series
    }

    #[test]
    fn complete_minutes_are_compared_with_those_before() {
        use ProjectMetric::{Pending, Received, Redriven, Rejected, ServerErrors, Streamed};
        let series = series(&[
            (Received, 2, 1_000.0),
            (Received, 3, 1_000.0),
            (Received, 4, 100.0),
            (Received, 13, 10.0),
            (Received, 14, 7.0),
            (Received, 63, 1.0),
            (Received, 64, 1_000.0),
            (Streamed, 5, 4.0),
            (Redriven, 5, 2.0),
            (Pending, 5, 1.0),
            (Rejected, 20, 3.0),
            (ServerErrors, 5, 2.0),
        ]);
        let traffic = CloudObservations::new(series, NOW_MS).traffic();
        assert_eq!(traffic.recent.received, 110);
        assert_eq!(traffic.before.received, 8);
        assert_eq!((traffic.recent.in_cohort, traffic.recent.streamed), (7, 4));
        assert_eq!(
            (traffic.recent.rejected(), traffic.before.rejected()),
            (0, 3)
        );
        assert_eq!(traffic.recent.server_errors, Some(2));
        assert_eq!(
            (traffic.recent.seconds, traffic.before.seconds),
            (600, 3_000)
        );
    }

    #[test]
    fn depths_and_ages_are_the_last_ones() {
        use ProjectMetric::{ArchiveFreshness, BroadcastAge, IteratorAge, Redrive, RedriveDlq};
        let series = series(&[
            (Redrive, 9, 50.0),
            (Redrive, 1, 4.0),
            (RedriveDlq, 30, 9.0),
            (ArchiveFreshness, 2, 250.4),
            (BroadcastAge, 2, 3.0),
            (IteratorAge, 2, 1_500.0),
        ]);
        let seen = CloudObservations::new(series, NOW_MS);
        let queues = seen.queues();
        assert_eq!((queues.redrive, queues.redrive_dlq), (4, 0));
        assert_eq!(seen.files().waiting_ms, Some(250_000));
        assert_eq!(seen.broadcasts().waiting_ms, 3_000);
        assert_eq!(seen.lag()[0].age_ms, 1_500);
        let nothing = CloudObservations::new(ProjectSeries::default(), NOW_MS);
        assert_eq!(nothing.files().waiting_ms, None);
        assert_eq!(nothing.lag()[0].down_ms, None);
    }

    #[test]
    fn a_consumer_of_which_nothing_is_reported_is_down() {
        use ProjectMetric::{IteratorAge, Streamed};
        let down_ms =
            |points: &[_]| CloudObservations::new(series(points), NOW_MS).lag()[0].down_ms;
        assert_eq!(down_ms(&[(Streamed, 5, 9.0)]), Some(10 * MINUTE_MS));
        assert_eq!(down_ms(&[(Streamed, 5, 9.0), (IteratorAge, 5, 3.0)]), None);
    }

    #[test]
    fn a_difference_of_the_counters_shows() {
        use ProjectMetric::{Duplicate, Received, Stored};
        let all = [(Received, 10, 9.0), (Stored, 10, 6.0), (Duplicate, 10, 3.0)];
        let of = |points: &[_]| CloudObservations::new(series(points), NOW_MS).ledger();
        assert_eq!(of(&all).difference, 0);
        assert_eq!(of(&all[..2]).difference, 3);
    }
}
