//! The metrics of a project, from CloudWatch.

use app::ports::PortError;
use async_trait::async_trait;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{MetricDataQuery, MetricDataResult};
use ops::ports::ProjectMetrics;
use ops::project_series::{ProjectMetric, ProjectSeries};

use crate::emf;
use crate::error::port_error;
use crate::metric_data::{self, Series};

const OPERATION: &str = "read the project's metrics";

/// Where a metric is: its namespace, its name, the dimension, what follows the project's name in its value,
/// and the statistic.
type MetricPlace = (
    ProjectMetric,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

/// A dimension whose value is not made from the project's name.
const API_ID: &str = "ApiId";

/// What is read. CloudWatch charges for each with every request.
const METRICS: [MetricPlace; 23] = {
    use ProjectMetric as M;
    const LAMBDA: &str = "AWS/Lambda";
    const SQS: &str = "AWS/SQS";
    const QUEUE: &str = "QueueName";
    const FUNCTION: &str = emf::DIMENSION;
    const OURS: &str = emf::NAMESPACE;
    const VISIBLE: &str = "ApproximateNumberOfMessagesVisible";
    [
        (M::Received, OURS, "Received", FUNCTION, "webhook", "Sum"),
        (M::Stored, OURS, "Stored", FUNCTION, "webhook", "Sum"),
        (M::Duplicate, OURS, "Duplicate", FUNCTION, "webhook", "Sum"),
        (M::Ignored, OURS, "Ignored", FUNCTION, "webhook", "Sum"),
        (M::Rejected, OURS, "Rejected", FUNCTION, "webhook", "Sum"),
        (M::Streamed, OURS, "Streamed", FUNCTION, "webhook", "Sum"),
        (M::Redriven, OURS, "Redriven", FUNCTION, "webhook", "Sum"),
        (M::Pending, OURS, "Pending", FUNCTION, "webhook", "Sum"),
        (
            M::StreamRecords,
            "AWS/Kinesis",
            "IncomingRecords",
            "StreamName",
            "ticks",
            "Sum",
        ),
        (
            M::ArchiveFreshness,
            "AWS/Firehose",
            "DeliveryToS3.DataFreshness",
            "DeliveryStreamName",
            "archive",
            "Maximum",
        ),
        (
            M::WebhookErrors,
            LAMBDA,
            "Errors",
            FUNCTION,
            "webhook",
            "Sum",
        ),
        (M::ServerErrors, "AWS/ApiGateway", "5xx", API_ID, "", "Sum"),
        (
            M::UrlServerErrors,
            LAMBDA,
            "Url5xxCount",
            FUNCTION,
            "webhook",
            "Sum",
        ),
        (
            M::IteratorAge,
            LAMBDA,
            "IteratorAge",
            FUNCTION,
            "analytics",
            "Maximum",
        ),
        (
            M::BroadcastAge,
            SQS,
            "ApproximateAgeOfOldestMessage",
            QUEUE,
            "broadcast",
            "Maximum",
        ),
        (
            M::BroadcastErrors,
            LAMBDA,
            "Errors",
            FUNCTION,
            "broadcast",
            "Sum",
        ),
        (
            M::BroadcastDlq,
            SQS,
            VISIBLE,
            QUEUE,
            "broadcast-dlq",
            "Maximum",
        ),
        (M::Redrive, SQS, VISIBLE, QUEUE, "redrive", "Maximum"),
        (M::RedriveDlq, SQS, VISIBLE, QUEUE, "redrive-dlq", "Maximum"),
        (
            M::AnalyticsFailed,
            SQS,
            VISIBLE,
            QUEUE,
            "analytics-failed",
            "Maximum",
        ),
        (
            M::ThrottledInvocations,
            LAMBDA,
            "Throttles",
            FUNCTION,
            "webhook",
            "Sum",
        ),
        (
            M::ThrottledWrites,
            "AWS/DynamoDB",
            "WriteThrottleEvents",
            "TableName",
            "ticks",
            "Sum",
        ),
        (
            M::ThrottledRecords,
            "AWS/Kinesis",
            "WriteProvisionedThroughputExceeded",
            "StreamName",
            "ticks",
            "Sum",
        ),
    ]
};

/// The metrics of a project.
#[derive(Debug, Clone)]
pub struct CloudWatchProjectMetrics {
    client: Client,
    project: String,
    api_id: Option<String>,
}

impl CloudWatchProjectMetrics {
    /// The metrics of a project.
    #[must_use]
    pub fn new(client: &Client, project: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            project: project.into(),
            api_id: None,
        }
    }

    /// With those of its webhook's API, which have its id, not the project's name.
    #[must_use]
    pub fn with_api(self, api_id: Option<String>) -> Self {
        Self { api_id, ..self }
    }

    fn queries(&self) -> Vec<MetricDataQuery> {
        let queries = METRICS.iter().enumerate().filter_map(|(number, place)| {
            let (_, namespace, name, dimension, resource, statistic) = *place;
            let value = match dimension {
                API_ID => self.api_id.clone()?,
                _ => format!("{}-{resource}", self.project),
            };
            let series = Series {
                namespace,
                name,
                dimension,
                value: &value,
                statistic,
            };
            Some(series.query(format!("m{number}")))
        });
        queries.collect()
    }
}

#[async_trait]
impl ProjectMetrics for CloudWatchProjectMetrics {
    async fn read(&self, from_ms: i64, to_ms: i64) -> Result<ProjectSeries, PortError> {
        let mut pages = self
            .client
            .get_metric_data()
            .set_metric_data_queries(Some(self.queries()))
            .start_time(DateTime::from_millis(from_ms))
            .end_time(DateTime::from_millis(to_ms))
            .into_paginator()
            .send();
        let mut series = ProjectSeries::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error(OPERATION, &error))?;
            for result in page.metric_data_results() {
                add(&mut series, result)?;
            }
        }
        Ok(series)
    }
}

fn add(series: &mut ProjectSeries, result: &MetricDataResult) -> Result<(), PortError> {
    let id = result.id().unwrap_or_default();
    let number = id.strip_prefix('m').and_then(|number| number.parse().ok());
    let Some((metric, ..)) = number.and_then(|number: usize| METRICS.get(number)) else {
        return Ok(());
    };
    for (at_ms, value) in metric_data::points(OPERATION, format_args!("{metric:?}"), result)? {
        series.insert(*metric, at_ms, value);
    }
    Ok(())
}
