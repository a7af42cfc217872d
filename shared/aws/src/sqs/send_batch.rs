//! Sends messages to a queue, ten per request.

use std::time::Duration;

use app::ports::{PortError, Refused};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchOutput;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

use crate::chunk::{Limits, chunks};
use crate::error::CallError;
use crate::retry::{Backoff, within};

/// The limits of SendMessageBatch: 10 messages and 1 MiB over all of them.
const REQUEST: Limits = Limits {
    entries_max: 10,
    bytes_max: 1_024 * 1_024,
};

/// The largest message: 1 MiB.
const MESSAGE_BYTES_MAX: usize = 1_024 * 1_024;

/// The most concurrent requests of one call.
const REQUESTS_AT_ONCE_MAX: usize = 8;

/// Sends messages to one queue.
#[derive(Debug, Clone)]
pub(super) struct BatchSender {
    client: Client,
    queue_url: String,
    deadline: Duration,
}

/// A message that is not in the queue yet.
struct PendingMessage {
    index: usize,
    body: String,
    refused: String,
}

/// The messages of a request that are not in the queue.
#[derive(Default)]
struct Unsent {
    /// A retry may help.
    retryable: Vec<PendingMessage>,
    /// Refused because of our error; a retry does not help.
    permanent: Vec<PendingMessage>,
}

impl BatchSender {
    pub(super) fn new(client: &Client, queue_url: String, deadline: Duration) -> Self {
        // All retries are ours, to respect the deadline.
        let config = client.config().to_builder();
        Self {
            client: Client::from_conf(config.retry_config(RetryConfig::disabled()).build()),
            queue_url,
            deadline,
        }
    }

    /// Sends messages and returns the positions of those that were refused.
    pub(super) async fn send(&self, bodies: Vec<String>) -> Result<Vec<Refused>, PortError> {
        let deadline = Instant::now() + self.deadline;
        let (fitting, oversized): (Vec<_>, Vec<_>) = bodies
            .into_iter()
            .enumerate()
            .partition(|(_, body)| body.len() <= MESSAGE_BYTES_MAX);
        let mut refused: Vec<Refused> = oversized
            .into_iter()
            .map(|(index, body)| Refused {
                index,
                reason: format!(
                    "the message has {} bytes, but at most {MESSAGE_BYTES_MAX} are allowed",
                    body.len()
                ),
            })
            .collect();
        let waiting = fitting.into_iter().map(|(index, body)| PendingMessage {
            index,
            body,
            refused: String::new(),
        });
        let requests = chunks(waiting, |waiting| waiting.body.len(), &REQUEST);
        let total = requests.len();
        let ended: Vec<_> = stream::iter(requests)
            .map(|chunk| self.run(chunk, deadline))
            .buffer_unordered(REQUESTS_AT_ONCE_MAX)
            .collect()
            .await;
        let mut unsent = 0;
        let mut first_unsent = None;
        for (left, cause) in ended {
            if let Some(cause) = cause {
                unsent += 1;
                first_unsent.get_or_insert(cause);
            }
            refused.extend(left.into_iter().map(|waiting| Refused {
                index: waiting.index,
                reason: waiting.refused,
            }));
        }
        if let Some(cause) = first_unsent
            && unsent == total
        {
            return Err(cause.at("queue messages"));
        }
        refused.sort_by_key(|refused| refused.index);
        Ok(refused)
    }

    /// Sends one request's messages with retries. Returns those that were not sent, and the cause
    /// if not even the first request could be sent.
    async fn run(
        &self,
        mut chunk: Vec<PendingMessage>,
        deadline: Instant,
    ) -> (Vec<PendingMessage>, Option<CallError>) {
        let mut backoff = Backoff::until(deadline);
        let mut refused = Vec::new();
        let mut sent_any = false;
        loop {
            match self.request(&chunk, deadline).await {
                Ok(output) => {
                    let left = unsent_of(chunk, &output);
                    refused.extend(left.permanent);
                    chunk = left.retryable;
                }
                Err(cause) => {
                    for waiting in &mut chunk {
                        waiting.refused = cause.to_string();
                    }
                    if !cause.is_transient() {
                        refused.extend(chunk);
                        let unsent = matches!(cause, CallError::Unsent(_)) && !sent_any;
                        return (refused, unsent.then_some(cause));
                    }
                }
            }
            sent_any = true;
            if chunk.is_empty() || !backoff.wait().await {
                refused.extend(chunk);
                return (refused, None);
            }
        }
    }

    async fn request(
        &self,
        chunk: &[PendingMessage],
        deadline: Instant,
    ) -> Result<SendMessageBatchOutput, CallError> {
        let entries: Result<Vec<_>, _> = chunk
            .iter()
            .enumerate()
            .map(|(position, waiting)| {
                SendMessageBatchRequestEntry::builder()
                    .id(position.to_string())
                    .message_body(&waiting.body)
                    .build()
            })
            .collect();
        let entries = entries.map_err(|error| CallError::Unsent(error.to_string()))?;
        let request = self
            .client
            .send_message_batch()
            .queue_url(&self.queue_url)
            .set_entries(Some(entries));
        match within(deadline, request.send()).await {
            Some(Ok(output)) => Ok(output),
            Some(Err(error)) => Err(CallError::of(&error)),
            None => Err(CallError::Unanswered(format!(
                "timed out after {} ms",
                self.deadline.as_millis()
            ))),
        }
    }
}

/// The messages that SQS did not report as sent.
fn unsent_of(chunk: Vec<PendingMessage>, output: &SendMessageBatchOutput) -> Unsent {
    let mut left = Unsent::default();
    for (position, mut waiting) in chunk.into_iter().enumerate() {
        let id = position.to_string();
        if output.successful().iter().any(|taken| taken.id() == id) {
            continue;
        }
        match output.failed().iter().find(|failed| failed.id() == id) {
            None => {
                waiting.refused = "SQS returned no result for this message".to_owned();
                left.retryable.push(waiting);
            }
            Some(failed) => {
                let message = failed.message().unwrap_or("no message");
                waiting.refused = format!("{}: {message}", failed.code());
                if failed.sender_fault() {
                    left.permanent.push(waiting);
                } else {
                    left.retryable.push(waiting);
                }
            }
        }
    }
    left
}
