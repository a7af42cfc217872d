//! GetMetricData: its queries, and which of its results are complete.

use std::fmt::Display;

use app::ports::PortError;
use aws_sdk_cloudwatch::types::{
    Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, StatusCode,
};

/// The period of every query. A page has up to 100,800 values, so a day of some metrics is one.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>
const PERIOD_SECONDS: i32 = 60;

/// A metric with its only dimension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) dimension: &'a str,
    pub(crate) value: &'a str,
    /// Such as `Sum`.
    pub(crate) statistic: &'a str,
}

impl Series<'_> {
    /// The query for its values by the minute; the results have its id.
    pub(crate) fn query(&self, id: impl Into<String>) -> MetricDataQuery {
        let dimension = Dimension::builder().name(self.dimension).value(self.value);
        let metric = Metric::builder()
            .namespace(self.namespace)
            .metric_name(self.name)
            .dimensions(dimension.build())
            .build();
        let statistic = MetricStat::builder()
            .metric(metric)
            .period(PERIOD_SECONDS)
            .stat(self.statistic)
            .build();
        MetricDataQuery::builder()
            .id(id)
            .metric_stat(statistic)
            .build()
    }
}

/// The values of the metric `what`, each with the start of its minute in epoch milliseconds.
///
/// # Errors
/// If CloudWatch could not read the metric: it would look like nothing happened.
pub(crate) fn points(
    operation: &'static str,
    what: impl Display,
    result: &MetricDataResult,
) -> Result<impl Iterator<Item = (i64, f64)>, PortError> {
    // `PartialData` says that another page follows.
    if !matches!(
        result.status_code(),
        None | Some(StatusCode::Complete | StatusCode::PartialData)
    ) {
        return Err(PortError {
            operation,
            retryable: true,
            source: format!(
                "{what}: {:?}, {:?}",
                result.status_code(),
                result.messages()
            )
            .into(),
        });
    }
    let starts_ms = result.timestamps().iter().map(|at| at.secs() * 1_000);
    Ok(starts_ms.zip(result.values().iter().copied()))
}
