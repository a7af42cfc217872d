//! Checks that the redrive queue of a project is empty, before ticks are appended that may be in it.

use app::ports::PortError;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use domain::count_of;

use super::dead_letters::queue_url;
use crate::error::port_error;

const CHECK: &str = "check that nothing waits in the redrive queue";

/// The states of a message: visible, received and not deleted yet, not visible yet. SQS counts each approximately, and a
/// message may not be counted for a minute or more after it was sent.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>
const STATES: [(QueueAttributeName, &str); 3] = [
    (QueueAttributeName::ApproximateNumberOfMessages, "visible"),
    (
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        "in flight",
    ),
    (
        QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        "delayed",
    ),
];

/// The redrive queue of a project.
#[derive(Debug, Clone)]
pub struct RedriveCheck {
    client: Client,
    project: String,
}

impl RedriveCheck {
    /// The queue of a project.
    #[must_use]
    pub fn new(client: &Client, project: &str) -> Self {
        Self {
            client: client.clone(),
            project: project.to_owned(),
        }
    }

    /// Checks that the queue has no messages in any state, as far as SQS counts them. Their ticks are missing in the stream,
    /// and are appended when the queue is drained: if they are appended meanwhile, the stream has them twice.
    ///
    /// # Errors
    /// [`PortError`] that says what to do if there are messages; or if they cannot be counted.
    pub async fn check_empty(&self) -> Result<(), PortError> {
        let queue = format!("{}-redrive", self.project);
        let url = queue_url(&self.client, &queue).await?;
        let request = self.client.get_queue_attributes().queue_url(url);
        let names = STATES.iter().map(|(name, _)| name.clone()).collect();
        let response = request.set_attribute_names(Some(names)).send().await;
        let response = response.map_err(|error| port_error(CHECK, &error))?;
        let (mut messages, mut by_state) = (0, Vec::new());
        for (name, state) in STATES {
            let count = response.attributes().and_then(|it| it.get(&name));
            // What is not counted is not 0.
            let Some(count) = count.and_then(|it| it.parse::<u64>().ok()) else {
                return Err(failed(format!("the response of SQS has no {name}")));
            };
            messages += count;
            by_state.push(format!("{count} {state}"));
        }
        if messages == 0 {
            return Ok(());
        }
        let (messages, project) = (count_of(messages, "message"), &self.project);
        Err(failed(format!(
            "{queue} has about {messages} ({}), whose ticks will be appended to the stream, so a repair could append them a \
             second time. Wait until it is empty (docs/runbooks/redrive-age.md), and repair then. If it cannot be \
             drained, purge it: its ticks are stored, and the repair appends them. `tickctl requeue --aws --project \
             {project}` shows what its DLQ has",
            by_state.join(", ")
        )))
    }
}

fn failed(why: String) -> PortError {
    PortError {
        operation: CHECK,
        retryable: true,
        source: why.into(),
    }
}
