//! The shards of a provisioned stream.

use app::ports::PortError;
use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::update_shard_count::UpdateShardCountError;
use aws_sdk_kinesis::types::ScalingType;
use ops::ports::Shards;

use crate::error::port_error;

/// The shards of a stream in provisioned mode.
#[derive(Debug, Clone)]
pub struct KinesisShards {
    client: Client,
    stream: String,
}

impl KinesisShards {
    /// The shards of the stream of a name.
    #[must_use]
    pub fn new(client: &Client, stream: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            stream: stream.into(),
        }
    }
}

#[async_trait]
impl Shards for KinesisShards {
    async fn open_count(&self) -> Result<u32, PortError> {
        const OPERATION: &str = "count the stream's shards";
        let answer = self
            .client
            .describe_stream_summary()
            .stream_name(&self.stream)
            .send()
            .await
            .map_err(|error| port_error(OPERATION, &error))?;
        answer
            .stream_description_summary()
            .and_then(|summary| u32::try_from(summary.open_shard_count()).ok())
            .ok_or_else(|| PortError {
                operation: OPERATION,
                retryable: false,
                source: "the response has no count of open shards".into(),
            })
    }

    /// Kinesis allows 10 changes of a stream in 24 hours, to at most double and at least half of
    /// the open shards, and no change while another is in progress.
    async fn set(&self, count: u32) -> Result<(), PortError> {
        const OPERATION: &str = "change the stream's shards";
        let target = i32::try_from(count)
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| PortError {
                operation: OPERATION,
                retryable: false,
                source: format!("a stream cannot have {count} shards").into(),
            })?;
        self.client
            .update_shard_count()
            .stream_name(&self.stream)
            .target_shard_count(target)
            .scaling_type(ScalingType::UniformScaling)
            .send()
            .await
            .map_err(|error| {
                // Ten changes in 24 hours, or a quota: retries do not help.
                let limited = error
                    .as_service_error()
                    .is_some_and(UpdateShardCountError::is_limit_exceeded_exception);
                let mut refused = port_error(OPERATION, &error);
                refused.retryable &= !limited;
                refused
            })?;
        Ok(())
    }
}
