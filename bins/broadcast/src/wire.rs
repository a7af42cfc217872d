//! The events and responses of the WebSocket API, and the messages of its clients, as far as needed.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

/// The longest accepted message of a client, in bytes; the API's limit is 128 KiB.
const CLIENT_BYTES_MAX: usize = 32 * 1_024;

/// An event of the API.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SocketEvent {
    pub(crate) request_context: RequestContext,
    #[serde(default)]
    query_string_parameters: Option<HashMap<String, String>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// The connection and the type of an event.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestContext {
    pub(crate) connection_id: String,
    pub(crate) event_type: EventType,
}

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum EventType {
    /// The connection is being established.
    Connect,
    /// The connection has ended; this is not always reported.
    Disconnect,
    /// The client sent a message.
    Message,
}

/// A message of a client.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ClientMessage {
    /// Subscribe to tokens; none for all. Returns their latest ticks.
    Subscribe {
        #[serde(default)]
        tokens: Vec<String>,
    },
    /// Unsubscribe from tokens; none for all.
    Unsubscribe {
        #[serde(default)]
        tokens: Vec<String>,
    },
    /// Send the latest ticks of tokens.
    Snapshot { tokens: Vec<String> },
}

/// The response to the API. Clients only see it if a connection is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SocketResponse {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

impl SocketResponse {
    pub(crate) const OK: Self = Self {
        status_code: 200,
        body: None,
    };

    pub(crate) fn refused(status_code: u16, detail: &str) -> Self {
        let body = Some(error(detail));
        Self { status_code, body }
    }
}

/// An error message.
pub(crate) fn error(detail: &str) -> String {
    serde_json::json!({"type": "error", "message": detail}).to_string()
}

/// A message that confirms the end of subscriptions.
pub(crate) fn unsubscribed(tokens: &[String]) -> String {
    serde_json::json!({"type": "unsubscribed", "tokens": tokens}).to_string()
}

impl SocketEvent {
    /// The tokens in the query string; none if it names none.
    pub(crate) fn query_tokens(&self) -> impl Iterator<Item = &str> + Clone {
        self.query_string_parameters
            .as_ref()
            .and_then(|query| query.get("tokens"))
            .map(|tokens| tokens.trim())
            .filter(|tokens| !tokens.is_empty())
            .into_iter()
            .flat_map(|tokens| tokens.split(','))
            .map(str::trim)
    }

    /// Parses the client's message.
    ///
    /// # Errors
    /// Why it is invalid, for the client.
    pub(crate) fn message(&self) -> Result<ClientMessage, String> {
        let text = self.body.as_deref().unwrap_or_default();
        if text.len() > CLIENT_BYTES_MAX {
            return Err(format!(
                "a message may have at most {CLIENT_BYTES_MAX} bytes"
            ));
        }
        let decoded;
        let bytes = if self.is_base64_encoded {
            decoded = BASE64_STANDARD
                .decode(text)
                .map_err(|_| "the message is not text".to_owned())?;
            &decoded
        } else {
            text.as_bytes()
        };
        serde_json::from_slice(bytes).map_err(|why| {
            format!(
                "{why}; send for example {{\"action\":\"subscribe\",\"tokens\":[\"SOL\"]}} \
                 (actions: subscribe, unsubscribe, snapshot)"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(query: serde_json::Value, body: Option<&str>, base64: bool) -> SocketEvent {
        serde_json::from_value(json!({
            "requestContext": {
                "routeKey": "$default", "eventType": "MESSAGE", "connectionId": "c-1",
                "connectedAt": 1, "requestTimeEpoch": 2,
            },
            "queryStringParameters": query, "body": body, "isBase64Encoded": base64,
        }))
        .unwrap()
    }

    #[test]
    fn tokens_are_read_from_the_query() {
        let tokens = |query| {
            let event = event(query, None, false);
            event.query_tokens().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(tokens(json!({"tokens": "A, B"})), ["A", "B"]);
        assert_eq!(tokens(json!({"tokens": "A,"})), ["A", ""]);
        assert!(tokens(json!({"tokens": " "})).is_empty());
        assert!(tokens(json!({"other": "A"})).is_empty());
        assert!(tokens(json!(null)).is_empty());
    }

    #[track_caller]
    fn check(body: &str, expected: Option<ClientMessage>) {
        let message = event(json!(null), Some(body), false).message();
        match expected {
            Some(expected) => assert_eq!(message, Ok(expected), "{body}"),
            None => {
                let why = message.unwrap_err();
                assert!(why.contains("actions: subscribe"), "{why}");
            }
        }
    }

    #[test]
    fn a_message_is_read_or_refused_with_a_reason() {
        let tokens = vec!["A".to_owned()];
        check(
            r#"{"action":"subscribe","tokens":["A"]}"#,
            Some(ClientMessage::Subscribe {
                tokens: tokens.clone(),
            }),
        );
        check(
            r#"{"action":"unsubscribe"}"#,
            Some(ClientMessage::Unsubscribe { tokens: vec![] }),
        );
        check(
            r#"{"action":"snapshot","tokens":["A"]}"#,
            Some(ClientMessage::Snapshot { tokens }),
        );
        for body in ["", "hello", "[]", "{}", r#"{"action":"dance"}"#] {
            check(body, None);
        }
        check(r#"{"action":"subscribe","token":"A"}"#, None);
        check(r#"{"action":"subscribe","tokens":"A"}"#, None);
        check(r#"{"action":"snapshot"}"#, None);
        let coded = BASE64_STANDARD.encode(r#"{"action":"subscribe"}"#);
        assert!(event(json!(null), Some(&coded), true).message().is_ok());
        let long = " ".repeat(CLIENT_BYTES_MAX + 1);
        let why = event(json!(null), Some(&long), false)
            .message()
            .unwrap_err();
        assert!(why.contains("at most"), "{why}");
    }

    #[test]
    fn a_refusal_says_why_as_json() {
        let refused = SocketResponse::refused(400, "no \"name\"");
        let refused = serde_json::to_value(refused).unwrap();
        assert_eq!(refused["statusCode"], 400);
        let body: serde_json::Value =
            serde_json::from_str(refused["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, json!({"type": "error", "message": "no \"name\""}));
        assert_eq!(
            serde_json::to_value(SocketResponse::OK).unwrap(),
            json!({"statusCode": 200})
        );
    }
}
