//! The metrics of a project over the last hour, by the minute.

use std::collections::BTreeMap;

/// A minute.
pub const MINUTE_MS: i64 = 60_000;

/// A metric of a project: counts that our functions write, and what the services count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProjectMetric {
    /// Entries that came in.
    Received,
    /// Ticks that were stored.
    Stored,
    /// Ticks that were stored before.
    Duplicate,
    /// Entries that are not prices.
    Ignored,
    /// Malformed entries.
    Rejected,
    /// Ticks that the stream accepted.
    Streamed,
    /// Ticks that went to the redrive queue.
    Redriven,
    /// Ticks that are neither in the stream nor in the queue yet.
    Pending,
    /// Records that the stream counted.
    StreamRecords,
    /// The age of the oldest record that Firehose has not delivered, in seconds.
    ArchiveFreshness,
    /// Invocations of the webhook that failed.
    WebhookErrors,
    /// Answers 5xx of the webhook's API.
    ServerErrors,
    /// Answers 5xx of the webhook's function URL.
    UrlServerErrors,
    /// How far analytics is behind, in milliseconds.
    IteratorAge,
    /// The age of the oldest message of the broadcast queue, in seconds.
    BroadcastAge,
    /// Invocations of broadcast that failed.
    BroadcastErrors,
    /// Messages that broadcast gave up.
    BroadcastDlq,
    /// Messages for the stream that wait.
    Redrive,
    /// Messages for the stream that were given up.
    RedriveDlq,
    /// Batches of the stream that analytics gave up.
    AnalyticsFailed,
    /// Invocations of the webhook that a quota refused.
    ThrottledInvocations,
    /// Writes of the table of ticks that were refused.
    ThrottledWrites,
    /// Records that the stream refused.
    ThrottledRecords,
}

/// The values of the metrics by the minute (epoch milliseconds); minutes without data are missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProjectSeries(BTreeMap<ProjectMetric, BTreeMap<i64, f64>>);

impl ProjectSeries {
    /// Adds the value of a minute.
    pub fn insert(&mut self, metric: ProjectMetric, at_ms: i64, value: f64) {
        let Self(series) = self;
        series.entry(metric).or_default().insert(at_ms, value);
    }

    /// Whether no metric has any data.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self(series) = self;
        series.is_empty()
    }

    /// The sum of a metric over minutes that begin at `from_ms` or later and before `to_ms`; `None` without
    /// data.
    #[must_use]
    pub fn sum(&self, metric: ProjectMetric, from_ms: i64, to_ms: i64) -> Option<f64> {
        self.values(metric, from_ms, to_ms).reduce(|a, b| a + b)
    }

    /// The largest value of a metric in these minutes.
    #[must_use]
    pub fn max(&self, metric: ProjectMetric, from_ms: i64, to_ms: i64) -> Option<f64> {
        self.values(metric, from_ms, to_ms).reduce(f64::max)
    }

    /// The last value of a metric in these minutes.
    #[must_use]
    pub fn last(&self, metric: ProjectMetric, from_ms: i64, to_ms: i64) -> Option<f64> {
        self.values(metric, from_ms, to_ms).last()
    }

    fn values(
        &self,
        metric: ProjectMetric,
        from_ms: i64,
        to_ms: i64,
    ) -> impl Iterator<Item = f64> + '_ {
        let Self(series) = self;
        let points = series.get(&metric);
        // An empty range would panic.
        let range = from_ms..to_ms.max(from_ms);
        points
            .into_iter()
            .flat_map(move |points| points.range(range.clone()).map(|(_, value)| *value))
    }
}
