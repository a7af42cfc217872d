//! Queues on SQS: ticks for broadcast or redrive, and the results of the analysis.

use std::sync::Arc;
use std::time::Duration;

use app::analyse::{AnalysisFeed, AnalysisUpdate};
use app::ports::{Notifier, PortError, Refused, TickQueue};
use async_trait::async_trait;
use aws_sdk_sqs::Client;
use domain::Tick;

use crate::sqs::send_batch::BatchSender;

pub mod dead_letters;
mod digest;
mod messages;
pub mod redrive_check;
mod send_batch;

/// A queue of ticks, one per message, so a consumer can report each as failed.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    sender: BatchSender,
}

impl SqsQueue {
    /// The queue at a URL. Refused messages are retried until `deadline` has passed since the call,
    /// and then reported as refused. If a response is lost, a message may be delivered twice.
    #[must_use]
    pub fn new(client: &Client, queue_url: impl Into<String>, deadline: Duration) -> Self {
        Self {
            sender: BatchSender::new(client, queue_url.into(), deadline),
        }
    }
}

#[async_trait]
impl TickQueue for SqsQueue {
    /// # Errors
    /// [`PortError`] only if no request was sent, such as without credentials.
    async fn send(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        let bodies = ticks.iter().map(|tick| {
            let mut body = Vec::new();
            codec::json::write_json(tick, &mut body);
            // A tick's JSON is UTF-8, so nothing is replaced.
            String::from_utf8_lossy(&body).into_owned()
        });
        self.sender.send(bodies.collect()).await
    }
}

/// Publishes the results of the analysis to the broadcast queue, and anomalies also to people, with
/// one digest per update. Best effort: the store has the results.
pub struct SqsFeed {
    sender: BatchSender,
    notifier: Arc<dyn Notifier>,
}

impl SqsFeed {
    /// Results go to the queue at a URL, with retries until `deadline`; digests of anomalies go to
    /// the notifier.
    #[must_use]
    pub fn new(
        client: &Client,
        queue_url: impl Into<String>,
        deadline: Duration,
        notifier: Arc<dyn Notifier>,
    ) -> Self {
        Self {
            sender: BatchSender::new(client, queue_url.into(), deadline),
            notifier,
        }
    }

    async fn queue(&self, messages: Vec<String>) {
        if messages.is_empty() {
            return;
        }
        match self.sender.send(messages).await {
            Ok(refused) => {
                if let Some(first) = refused.first() {
                    tracing::warn!(
                        messages = refused.len(),
                        cause = first.reason,
                        "results were not queued for broadcast"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(error = %error, cause = %error.source, "results were not queued for broadcast");
            }
        }
    }
}

#[async_trait]
impl AnalysisFeed for SqsFeed {
    async fn publish(&self, update: AnalysisUpdate) {
        let messages = messages::of(&update);
        let tell = async {
            let Some((subject, text)) = digest::of(&update.anomalies) else {
                return;
            };
            if let Err(error) = self.notifier.notify(&subject, &text).await {
                tracing::warn!(error = %error, cause = %error.source, anomalies = update.anomalies.len(), "the digest of anomalies was not sent");
            }
        };
        tokio::join!(self.queue(messages), tell);
    }
}
