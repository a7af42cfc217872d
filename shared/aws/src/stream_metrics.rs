//! The metrics of a provisioned stream, from CloudWatch.

use app::ports::PortError;
use async_trait::async_trait;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{MetricDataQuery, MetricDataResult, ScanBy};
use ops::ports::StreamMetrics;
use ops::stream_history::{HISTORY_MS, Minute, StreamHistory};

use crate::emf;
use crate::error::port_error;
use crate::metric_data::{self, Series};

const OPERATION: &str = "read the stream's metrics";

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
        let of_stream = |name| Series {
            namespace: "AWS/Kinesis",
            name,
            dimension: "StreamName",
            value: &self.stream,
            statistic: "Sum",
        };
        let open_shards = Series {
            namespace: emf::NAMESPACE,
            name: emf::OPEN_SHARDS,
            dimension: emf::DIMENSION,
            value: &self.function_name,
            statistic: "Maximum",
        };
        [
            of_stream("IncomingBytes").query(BYTES),
            of_stream("IncomingRecords").query(RECORDS),
            open_shards.query(OPEN),
        ]
    }
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

fn add(history: &mut StreamHistory, result: &MetricDataResult) -> Result<(), PortError> {
    let id = result.id().unwrap_or_default();
    let set: fn(&mut Minute, f64) = match id {
        BYTES => |minute, value| minute.bytes = Some(value),
        RECORDS => |minute, value| minute.records = Some(value),
        OPEN => |minute, value| minute.open = Some(value),
        _ => return Ok(()),
    };
    for (at_ms, value) in metric_data::points(OPERATION, id, result)? {
        set(history.minute_mut(at_ms), value);
    }
    Ok(())
}
