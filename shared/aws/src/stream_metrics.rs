//! The metrics of a provisioned stream, from CloudWatch.

use app::ports::PortError;
use async_trait::async_trait;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode,
};
use ops::ports::StreamMetrics;
use ops::stream_history::{HISTORY_MS, Minute, StreamHistory};

use crate::emf;
use crate::error::port_error;

const OPERATION: &str = "read the stream's metrics";

/// A day of three metrics by the minute: a page has up to 100,800 values, so there is one.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>
const PERIOD_SECONDS: i32 = 60;

/// How many metrics a request reads; CloudWatch charges for each.
pub const METRICS_READ: usize = 3;

/// Their ids in a request.
const BYTES: &str = "bytes";
const RECORDS: &str = "records";
const OPEN: &str = "open";

/// The metrics of a stream: what it accepts, by Kinesis, and its open shards, by the function that counts them.
#[derive(Debug, Clone)]
pub struct CloudWatchStreamMetrics {
    client: Client,
    stream: String,
    function_name: String,
}

impl CloudWatchStreamMetrics {
    /// The metrics of a stream whose shards this function counts.
    #[must_use]
    pub fn new(
        client: &Client,
        stream: impl Into<String>,
        function_name: impl Into<String>,
    ) -> Self {
        Self {
            client: client.clone(),
            stream: stream.into(),
            function_name: function_name.into(),
        }
    }

    fn queries(&self) -> [MetricDataQuery; METRICS_READ] {
        let of_stream = |id, name| {
            let dimension = ("StreamName", self.stream.as_str());
            query(id, "AWS/Kinesis", name, dimension, "Sum")
        };
        let of_function = (emf::DIMENSION, self.function_name.as_str());
        [
            of_stream(BYTES, "IncomingBytes"),
            of_stream(RECORDS, "IncomingRecords"),
            query(
                OPEN,
                emf::NAMESPACE,
                emf::OPEN_SHARDS,
                of_function,
                "Maximum",
            ),
        ]
    }
}

fn query(
    id: &str,
    namespace: &str,
    name: &str,
    (dimension, value): (&str, &str),
    statistic: &str,
) -> MetricDataQuery {
    let dimension = Dimension::builder().name(dimension).value(value).build();
    let metric = Metric::builder()
        .namespace(namespace)
        .metric_name(name)
        .dimensions(dimension)
        .build();
    let statistic = MetricStat::builder()
        .metric(metric)
        .period(PERIOD_SECONDS)
        .stat(statistic)
        .build();
    MetricDataQuery::builder()
        .id(id)
        .metric_stat(statistic)
        .build()
}

#[async_trait]
impl StreamMetrics for CloudWatchStreamMetrics {
    async fn read(&self, now_ms: i64) -> Result<StreamHistory, PortError> {
        let mut pages = self
            .client
            .get_metric_data()
            .set_metric_data_queries(Some(self.queries().into()))
            .start_time(DateTime::from_millis(now_ms - HISTORY_MS))
            .end_time(DateTime::from_millis(now_ms))
            .scan_by(ScanBy::TimestampDescending)
            .into_paginator()
            .send();
        let mut history = StreamHistory::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error(OPERATION, &error))?;
            for result in page.metric_data_results() {
                add(&mut history, result)?;
            }
        }
        Ok(history)
    }
}

/// A metric that CloudWatch could not read is an error: it would look like a stream without traffic.
fn add(history: &mut StreamHistory, result: &MetricDataResult) -> Result<(), PortError> {
    let id = result.id().unwrap_or_default();
    let set: fn(&mut Minute, f64) = match id {
        BYTES => |minute, value| minute.bytes = Some(value),
        RECORDS => |minute, value| minute.records = Some(value),
        OPEN => |minute, value| minute.open = Some(value),
        _ => return Ok(()),
    };
    // `PartialData` says that another page follows.
    if !matches!(
        result.status_code(),
        None | Some(StatusCode::Complete | StatusCode::PartialData)
    ) {
        return Err(PortError {
            operation: OPERATION,
            retryable: true,
            source: format!("{id}: {:?}, {:?}", result.status_code(), result.messages()).into(),
        });
    }
    for (at, value) in result.timestamps().iter().zip(result.values()) {
        set(history.minute_mut(at.secs() * 1_000), *value);
    }
    Ok(())
}
