//! What the operator's desk looks at: the project's alarms, and what arrives in its stream.

use app::ports::{Alarms, Arrival, Arrivals, PortError};
use async_trait::async_trait;
use aws_config::SdkConfig;

use crate::alarms::in_alarm;
use crate::kinesis::tail::{Begin, StreamTail};

/// The alarms of a project, known by the beginning of their names.
pub struct ProjectAlarms {
    client: aws_sdk_cloudwatch::Client,
    name_prefix: String,
}

impl ProjectAlarms {
    /// Alarms whose names begin with `name_prefix`.
    #[must_use]
    pub fn new(config: &SdkConfig, name_prefix: impl Into<String>) -> Self {
        Self {
            client: aws_sdk_cloudwatch::Client::new(config),
            name_prefix: name_prefix.into(),
        }
    }
}

#[async_trait]
impl Alarms for ProjectAlarms {
    async fn active(&self) -> Result<Vec<String>, PortError> {
        let on = in_alarm(&self.client, &self.name_prefix).await?;
        Ok(on.into_iter().map(|alarm| alarm.name).collect())
    }
}

/// What arrives in a stream from the first look on.
pub struct StreamArrivals {
    client: aws_sdk_kinesis::Client,
    stream: String,
    tail: Option<StreamTail>,
}

impl StreamArrivals {
    /// A reader of a stream, not yet opened.
    #[must_use]
    pub fn new(config: &SdkConfig, stream: impl Into<String>) -> Self {
        Self {
            client: crate::clients::kinesis(config),
            stream: stream.into(),
            tail: None,
        }
    }
}

#[async_trait]
impl Arrivals for StreamArrivals {
    async fn poll(&mut self) -> Result<Vec<Arrival>, PortError> {
        let Some(tail) = &mut self.tail else {
            let tail = StreamTail::open(&self.client, &self.stream, Begin::Latest).await?;
            self.tail = Some(tail);
            return Ok(Vec::new());
        };
        let records = tail.to_the_tip().await?;
        let arrivals = records.into_iter().filter_map(|record| {
            // A record that is no tick of ours is the analysis' to quarantine.
            let tick = record.tick.ok()?;
            let arrived_ms = record.arrived_at_ms.unwrap_or(tick.ingested_at_ms);
            Some(Arrival { arrived_ms, tick })
        });
        Ok(arrivals.collect())
    }
}
