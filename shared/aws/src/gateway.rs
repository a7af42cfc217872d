//! Posts messages to the connections of the WebSocket API.

use app::ports::{PortError, Posted, Push};
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::config::Builder;
use aws_sdk_apigatewaymanagement::primitives::Blob;

use crate::error::CallError;

/// The largest message, 128 KiB; API Gateway's own limit.
const MESSAGE_BYTES_MAX: usize = 128 * 1_024;

const OPERATION: &str = "post to a connection";

/// The connections of one stage of a WebSocket API.
#[derive(Debug, Clone)]
pub struct GatewayPush {
    client: Client,
}

impl GatewayPush {
    /// The connections behind a callback URL, such as
    /// `https://abc123.execute-api.us-east-1.amazonaws.com/live`. A message is sent only once: the
    /// caller, which posts to many, decides about retries.
    #[must_use]
    pub fn new(config: &SdkConfig, callback_url: &str) -> Self {
        let config = Builder::from(config)
            .endpoint_url(callback_url)
            .retry_config(RetryConfig::disabled())
            .build();
        Self {
            client: Client::from_conf(config),
        }
    }
}

#[async_trait]
impl Push for GatewayPush {
    async fn post(&self, connection: &str, message: &str) -> Result<Posted, PortError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(PortError {
                operation: OPERATION,
                retryable: false,
                source: format!(
                    "the message has {} bytes, but at most {MESSAGE_BYTES_MAX} are allowed: send \
                     it in parts",
                    message.len()
                )
                .into(),
            });
        }
        let posted = self
            .client
            .post_to_connection()
            .connection_id(connection)
            .data(Blob::new(message))
            .send()
            .await;
        let Err(error) = posted else {
            return Ok(Posted::Sent);
        };
        let cause = CallError::of(&error);
        match &cause {
            CallError::Refused { status: 410, .. } => Ok(Posted::Gone),
            // LimitExceededException, and throttling of the account.
            CallError::Refused { status: 429, .. } => Ok(Posted::Throttled),
            CallError::Refused { .. }
            | CallError::Unanswered(_)
            | CallError::Unreadable(_)
            | CallError::Unsent(_) => Err(cause.at(OPERATION)),
        }
    }
}
