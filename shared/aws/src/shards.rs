//! The shards of a provisioned stream.

use app::ports::PortError;
use async_trait::async_trait;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::types::{ScalingType, StreamStatus};
use aws_sdk_kinesis::{Client, Config};
use ops::ports::{Resize, Shards, StreamState};

use crate::error::{CallError, port_error};

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
    async fn describe(&self) -> Result<StreamState, PortError> {
        const OPERATION: &str = "count the stream's shards";
        let answer = self
            .client
            .describe_stream_summary()
            .stream_name(&self.stream)
            .send()
            .await
            .map_err(|error| port_error(OPERATION, &error))?;
        let state = answer.stream_description_summary().and_then(|summary| {
            Some(StreamState {
                open: u32::try_from(summary.open_shard_count()).ok()?,
                is_active: summary.stream_status() == &StreamStatus::Active,
            })
        });
        state.ok_or_else(|| PortError {
            operation: OPERATION,
            retryable: false,
            source: "the response has no count of open shards".into(),
        })
    }

    /// Kinesis allows 10 changes of a stream in 24 hours, to at most double and at least half of the open shards, and no
    /// change while another is in progress: `LimitExceededException` and `ResourceInUseException`.
    /// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html>
    async fn set(&self, count: u32) -> Result<Resize, PortError> {
        const OPERATION: &str = "change the stream's shards";
        let target = i32::try_from(count)
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| PortError {
                operation: OPERATION,
                retryable: false,
                source: format!("a stream cannot have {count} shards").into(),
            })?;
        // The SDK would repeat what is refused for hours.
        let once = Config::builder().retry_config(RetryConfig::disabled());
        let sent = self
            .client
            .update_shard_count()
            .stream_name(&self.stream)
            .target_shard_count(target)
            .scaling_type(ScalingType::UniformScaling)
            .customize()
            .config_override(once)
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(Resize::Accepted);
        };
        let passes = error.as_service_error().is_some_and(|refusal| {
            refusal.is_limit_exceeded_exception() || refusal.is_resource_in_use_exception()
        });
        match passes {
            true => Ok(Resize::Refused(CallError::of(&error).to_string())),
            false => Err(port_error(OPERATION, &error)),
        }
    }
}
