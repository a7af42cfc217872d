//! Messages to a queue, ten a request.

use std::time::Duration;

use app::ports::{PortError, Refused};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchOutput;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

use crate::chunk::{Limits, chunks};
use crate::error::CallError;
use crate::retry::Backoff;

/// What one SendMessageBatch takes: 10 messages and 1 MiB over all of them.
const REQUEST: Limits = Limits {
    entries_max: 10,
    bytes_max: 1_024 * 1_024,
};

/// The largest message: 1 MiB.
const MESSAGE_BYTES_MAX: usize = 1_024 * 1_024;

/// Most requests of one call under way at once.
const REQUESTS_AT_ONCE_MAX: usize = 8;

/// Sends messages to one queue.
#[derive(Debug, Clone)]
pub(super) struct BatchSender {
    client: Client,
    queue_url: String,
    deadline: Duration,
}

/// A message that is not in the queue yet.
struct Waiting {
    index: usize,
    body: String,
    refused: String,
}

/// What became of a request's messages.
#[derive(Default)]
struct Left {
    /// May be tried again.
    for_now: Vec<Waiting>,
    /// Our mistake: refused however often it is sent.
    for_good: Vec<Waiting>,
}

impl BatchSender {
    pub(super) fn new(client: &Client, queue_url: String, deadline: Duration) -> Self {
        // Each try is ours: only so is the deadline kept.
        let config = client.config().to_builder();
        Self {
            client: Client::from_conf(config.retry_config(RetryConfig::disabled()).build()),
            queue_url,
            deadline,
        }
    }

    /// Queues messages and names those that were refused, by their position.
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
                    "{} bytes are more than a message's {MESSAGE_BYTES_MAX}",
                    body.len()
                ),
            })
            .collect();
        let waiting = fitting.into_iter().map(|(index, body)| Waiting {
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

    /// Sends one request's messages to the end: what is left, and why where the first request
    /// could not even be made.
    async fn run(
        &self,
        mut chunk: Vec<Waiting>,
        deadline: Instant,
    ) -> (Vec<Waiting>, Option<CallError>) {
        let mut backoff = Backoff::until(deadline);
        let mut refused = Vec::new();
        let mut sent_any = false;
        loop {
            match self.request(&chunk, deadline).await {
                Ok(output) => {
                    let left = left_of(chunk, &output);
                    refused.extend(left.for_good);
                    chunk = left.for_now;
                }
                Err(cause) => {
                    for waiting in &mut chunk {
                        waiting.refused = cause.to_string();
                    }
                    if !cause.is_passing() {
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
        chunk: &[Waiting],
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
        match timeout_at(deadline, request.send()).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(error)) => Err(CallError::of(&error)),
            Err(_) => Err(CallError::Unanswered(format!(
                "{} ms are over",
                self.deadline.as_millis()
            ))),
        }
    }
}

/// The messages that are not named as taken: by what SQS says, or by its silence.
fn left_of(chunk: Vec<Waiting>, output: &SendMessageBatchOutput) -> Left {
    let mut left = Left::default();
    for (position, mut waiting) in chunk.into_iter().enumerate() {
        let id = position.to_string();
        if output.successful().iter().any(|taken| taken.id() == id) {
            continue;
        }
        match output.failed().iter().find(|failed| failed.id() == id) {
            None => {
                waiting.refused = "SQS gave no answer for this message".to_owned();
                left.for_now.push(waiting);
            }
            Some(failed) => {
                let message = failed.message().unwrap_or("no message");
                waiting.refused = format!("{}: {message}", failed.code());
                if failed.sender_fault() {
                    left.for_good.push(waiting);
                } else {
                    left.for_now.push(waiting);
                }
            }
        }
    }
    left
}
