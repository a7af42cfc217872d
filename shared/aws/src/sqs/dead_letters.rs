//! Queues of dead letters, and the queues that they go back to.
//!
//! SQS can move the messages of a DLQ itself (StartMessageMoveTask), but all of them, only to queues, and not those of
//! Lambda's failure destinations. So they are moved here: received, sent, and deleted only then.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html>

use std::collections::HashMap;
use std::time::Duration;

use app::ports::PortError;
use app::requeue::{DeadLetter, DeadLetters, LetterDestination};
use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
};

use super::send_batch::BatchSender;
use crate::error::port_error;

/// The most messages of a request; SQS's own limit.
const MESSAGES_MAX: usize = 10;

/// How long a received message is hidden: longer than it takes to go through a full queue, whose letters that stay are
/// released at the end. SQS allows 12 hours.
const HIDDEN_SECONDS: i32 = 15 * 60;

/// How long a receive waits, so that all servers of the queue are asked.
const WAIT_SECONDS: i32 = 2;

const RECEIVE: &str = "receive dead letters";
const RELEASE: &str = "release dead letters";
const DELETE: &str = "delete dead letters";

/// A queue of dead letters.
#[derive(Debug, Clone)]
pub struct SqsDeadLetters {
    client: Client,
    queue_url: String,
}

/// A queue that dead letters go back to.
#[derive(Debug, Clone)]
pub struct SourceQueue {
    sender: BatchSender,
}

/// The URL of a queue in the account and region of the client.
///
/// # Errors
/// [`PortError`] if there is no such queue, or it may not be seen.
pub async fn queue_url(client: &Client, name: &str) -> Result<String, PortError> {
    let found = client.get_queue_url().queue_name(name).send().await;
    let found = found.map_err(|error| port_error("find a queue", &error))?;
    found.queue_url.ok_or_else(|| PortError {
        operation: "find a queue",
        retryable: true,
        source: format!("SQS returned no URL of {name}").into(),
    })
}

impl SqsDeadLetters {
    /// The queue at a URL.
    #[must_use]
    pub fn new(client: &Client, queue_url: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            queue_url: queue_url.into(),
        }
    }
}

impl SourceQueue {
    /// The queue at a URL. Refused messages are retried until `deadline` has passed since the call.
    #[must_use]
    pub fn new(client: &Client, queue_url: impl Into<String>, deadline: Duration) -> Self {
        Self {
            sender: BatchSender::new(client, queue_url.into(), deadline),
        }
    }
}

#[async_trait]
impl DeadLetters for SqsDeadLetters {
    async fn count(&self) -> Result<u64, PortError> {
        let count = QueueAttributeName::ApproximateNumberOfMessages;
        let asked = self.client.get_queue_attributes();
        let asked = asked
            .queue_url(&self.queue_url)
            .attribute_names(count.clone());
        let answer = asked.send().await;
        let answer = answer.map_err(|error| port_error("count dead letters", &error))?;
        let text = answer.attributes().and_then(|it| it.get(&count));
        Ok(text.and_then(|it| it.parse().ok()).unwrap_or(0))
    }

    async fn receive(&self) -> Result<Vec<DeadLetter>, PortError> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(i32::try_from(MESSAGES_MAX).unwrap_or(1))
            .visibility_timeout(HIDDEN_SECONDS)
            .wait_time_seconds(WAIT_SECONDS)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let answer = request.send().await;
        let answer = answer.map_err(|error| port_error(RECEIVE, &error))?;
        Ok(answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(letter)
            .collect())
    }

    async fn release(&self, letters: &[DeadLetter]) -> Result<(), PortError> {
        for letters in letters.chunks(MESSAGES_MAX) {
            let mut request = self.client.change_message_visibility_batch();
            for (position, letter) in letters.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(position.to_string())
                    .receipt_handle(&letter.receipt)
                    .visibility_timeout(0)
                    .build();
                request = request.entries(entry.map_err(|error| unsent(RELEASE, error))?);
            }
            let answer = request.queue_url(&self.queue_url).send().await;
            let answer = answer.map_err(|error| port_error(RELEASE, &error))?;
            all_done(RELEASE, answer.failed())?;
        }
        Ok(())
    }

    async fn delete(&self, letters: &[DeadLetter]) -> Result<(), PortError> {
        for letters in letters.chunks(MESSAGES_MAX) {
            let mut request = self.client.delete_message_batch();
            for (position, letter) in letters.iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder()
                    .id(position.to_string())
                    .receipt_handle(&letter.receipt)
                    .build();
                request = request.entries(entry.map_err(|error| unsent(DELETE, error))?);
            }
            let answer = request.queue_url(&self.queue_url).send().await;
            let answer = answer.map_err(|error| port_error(DELETE, &error))?;
            all_done(DELETE, answer.failed())?;
        }
        Ok(())
    }
}

#[async_trait]
impl LetterDestination for SourceQueue {
    async fn accept(&self, letters: &[DeadLetter]) -> Result<Vec<Result<(), String>>, PortError> {
        let bodies = letters.iter().map(|letter| letter.body.clone());
        let refused = self.sender.send(bodies.collect()).await?;
        let mut refused: HashMap<usize, String> = refused
            .into_iter()
            .map(|refused| (refused.index, refused.reason))
            .collect();
        let accepted = (0..letters.len()).map(|index| refused.remove(&index).map_or(Ok(()), Err));
        Ok(accepted.collect())
    }
}

fn letter(message: Message) -> DeadLetter {
    let sent = message
        .attributes
        .as_ref()
        .and_then(|it| it.get(&MessageSystemAttributeName::SentTimestamp));
    DeadLetter {
        sent_at_ms: sent.and_then(|it| it.parse().ok()).unwrap_or(0),
        id: message.message_id.unwrap_or_default(),
        receipt: message.receipt_handle.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
    }
}

/// The call succeeds even if single messages fail.
fn all_done(operation: &'static str, failed: &[BatchResultErrorEntry]) -> Result<(), PortError> {
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(PortError {
            operation,
            retryable: !first.sender_fault(),
            source: format!(
                "{} of them: {}: {}",
                failed.len(),
                first.code(),
                first.message().unwrap_or("no message")
            )
            .into(),
        }),
    }
}

fn unsent(
    operation: &'static str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> PortError {
    PortError {
        operation,
        retryable: false,
        source: Box::new(error),
    }
}
