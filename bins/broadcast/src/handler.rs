//! Handles one event: a batch of the queue, or an event of a connection.

use app::live::{ConflatedUpdates, Fanout};
use app::ports::PortError;
use aws_lambda_events::event::sqs::SqsEvent;
use serde::Serialize;
use serde_json::Value;

use crate::queue;
use crate::tokens::{self, TOKENS_MAX, TokensError};
use crate::wire::{self, ClientMessage, EventType, SocketEvent, SocketResponse};

/// Sends updates to connections, and records what they subscribe to.
pub struct Broadcast {
    /// The use case.
    pub fanout: Fanout,
}

/// The response to an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a batch of the queue: nothing, since all of it is done.
    Batch,
    /// To the WebSocket API.
    Socket(SocketResponse),
}

/// Why an event was not handled.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// It is of neither shape.
    #[error("the event is neither a batch of a queue nor one of a WebSocket API")]
    Unknown(#[from] serde_json::Error),
    /// Nothing of a batch was sent.
    #[error("a batch of {messages} messages was not sent and will be delivered again")]
    NotSent {
        /// The size of the batch.
        messages: usize,
        /// Why.
        source: PortError,
    },
}

/// Why a client's request was not done.
enum Refusal {
    /// The request is not valid.
    Client(String),
    /// The tables did not answer.
    Port(PortError),
}

impl From<TokensError> for Refusal {
    fn from(error: TokensError) -> Self {
        Self::Client(error.to_string())
    }
}

impl From<PortError> for Refusal {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl Broadcast {
    /// Handles an event of either shape.
    ///
    /// # Errors
    /// [`EventError`]. After one, Lambda delivers a batch again, and invokes the function less often
    /// for a while.
    pub async fn handle(&self, event: Value) -> Result<Answer, EventError> {
        if event.get("Records").is_some() {
            let event: SqsEvent = serde_json::from_value(event)?;
            return self.publish(event).await.map(|()| Answer::Batch);
        }
        let event: SocketEvent = serde_json::from_value(event)?;
        let response = match event.request_context.event_type {
            EventType::Connect => self.connect(&event).await,
            EventType::Disconnect => self.disconnect(&event).await,
            EventType::Message => self.message(&event).await,
        };
        Ok(Answer::Socket(response))
    }

    /// Sends a batch. A message that cannot be parsed is dropped, since a retry would not help and newer
    /// values follow.
    async fn publish(&self, event: SqsEvent) -> Result<(), EventError> {
        let messages = event.records.len();
        let read = || {
            let mut updates = ConflatedUpdates::default();
            for message in event.records {
                let body = message.body.unwrap_or_default();
                if let Err(error) = queue::read(&body, &mut updates) {
                    tracing::error!(error = %error, bytes = body.len(), "a message of the broadcast queue cannot be read and is dropped");
                }
            }
            updates
        };
        let published = self.fanout.publish(read).await;
        let report = published.map_err(|source| EventError::NotSent { messages, source })?;
        tracing::debug!(?report, messages, "updates were sent");
        Ok(())
    }

    async fn connect(&self, event: &SocketEvent) -> SocketResponse {
        let connection = &event.request_context.connection_id;
        let wanted = match tokens::read(event.query_tokens()) {
            Ok(tokens) => tokens::topics(&tokens),
            Err(error) => return SocketResponse::refused(400, &error.to_string()),
        };
        match self.fanout.subscribers.subscribe(connection, &wanted).await {
            Ok(()) => SocketResponse::OK,
            Err(error) => {
                tracing::error!(connection, error = %error, cause = %error.source, "a connection was not recorded");
                SocketResponse::refused(503, "not connected: try again in a second")
            }
        }
    }

    async fn disconnect(&self, event: &SocketEvent) -> SocketResponse {
        let connection = &event.request_context.connection_id;
        if let Err(error) = self.fanout.subscribers.forget(connection).await {
            // It is removed by the next message to it, or expires.
            tracing::warn!(connection, error = %error, cause = %error.source, "a connection was not removed");
        }
        SocketResponse::OK
    }

    /// Handles a client's request. The client gets a message about any error.
    async fn message(&self, event: &SocketEvent) -> SocketResponse {
        let connection = &event.request_context.connection_id;
        let said = match event.message() {
            Ok(message) => self.perform(connection, message).await,
            Err(why) => Err(Refusal::Client(why)),
        };
        let detail = match said {
            Ok(()) => return SocketResponse::OK,
            Err(Refusal::Client(why)) => why,
            Err(Refusal::Port(error)) => {
                tracing::error!(connection, error = %error, cause = %error.source, "a client's request was not done");
                if error.retryable {
                    "not done: try again in a second".to_owned()
                } else {
                    format!(
                        "not done: a connection may subscribe to at most {TOKENS_MAX} tokens, or to all"
                    )
                }
            }
        };
        self.fanout.send(connection, &[wire::error(&detail)]).await;
        SocketResponse::OK
    }

    async fn perform(&self, connection: &str, message: ClientMessage) -> Result<(), Refusal> {
        let subscribers = &self.fanout.subscribers;
        let read = |names: &[String]| tokens::read(names.iter().map(String::as_str));
        match message {
            ClientMessage::Subscribe { tokens: names } => {
                let tokens = read(&names)?;
                let wanted = tokens::topics(&tokens);
                subscribers.subscribe(connection, &wanted).await?;
                self.fanout.snapshot(connection, &tokens).await?;
            }
            ClientMessage::Unsubscribe { tokens: names } => {
                let tokens = read(&names)?;
                if tokens.is_empty() {
                    subscribers.forget(connection).await?;
                } else {
                    let unwanted = tokens::topics(&tokens);
                    subscribers.unsubscribe(connection, &unwanted).await?;
                }
                self.fanout
                    .send(connection, &[wire::unsubscribed(&names)])
                    .await;
            }
            ClientMessage::Snapshot { tokens: names } => {
                self.fanout.snapshot(connection, &read(&names)?).await?;
            }
        }
        Ok(())
    }
}
