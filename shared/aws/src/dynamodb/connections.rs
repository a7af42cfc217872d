//! The table of connections: the subscriptions of the live API.
//!
//! There is one item per connection, with its topics, and all items are in one partition: who watches
//! is one query, which costs half a read unit while nobody does, however many tokens a batch has. One partition takes 1,000
//! writes a second, which are the 500 new connections that API Gateway accepts with a subscription each, and gives 3,000
//! read units: eight queries a second of 20,000 connections (`docs/operations.md`, "Ceilings on AWS").
//! A connection that disappears silently expires.

use std::collections::BTreeSet;
use std::sync::Arc;

use app::ports::{Clock, PortError, Subscribers, Topic, Watcher};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::Token;

use super::attributes::{EXPIRES_AT, Item, number, text, text_of};
use crate::error::port_error;

/// The most topics of a connection.
pub const TOPICS_PER_CONNECTION_MAX: usize = 200;

/// The partition key, which is [`CONNECTION`].
const TOPIC: &str = "topic";
/// The sort key.
const CONNECTION_ID: &str = "connection_id";
/// The topics of a connection.
const TOKENS: &str = "tokens";

/// The topic of subscribers to all tokens; no token has this name.
const EVERYTHING: &str = "*";
/// The partition of connections. Earlier versions had one for each topic too, whose items expire.
const CONNECTION: &str = "#connection";

const SUBSCRIBE: &str = "subscribe";
const UNSUBSCRIBE: &str = "unsubscribe";
const FORGET: &str = "forget a connection";
const WATCHERS: &str = "read subscribers";

/// Connections of the live API in a DynamoDB table.
#[derive(Clone)]
pub struct ConnectionTable {
    client: Client,
    table: String,
    ttl_seconds: u32,
    clock: Arc<dyn Clock>,
}

/// Why topics are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a connection can subscribe to at most {TOPICS_PER_CONNECTION_MAX} tokens, not {0}: subscribe \
     to all tokens, or open another connection"
)]
pub struct TooManyTopics(pub usize);

impl ConnectionTable {
    /// Connections in `table`, which expire `ttl_seconds` after they last subscribed.
    #[must_use]
    pub fn new(
        client: Client,
        table: impl Into<String>,
        ttl_seconds: u32,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            client,
            table: table.into(),
            ttl_seconds,
            clock,
        }
    }

    /// The names of a connection's topics; none if it is unknown.
    async fn topics_of(&self, connection: &str) -> Result<BTreeSet<String>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(connection)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error(SUBSCRIBE, &error))?;
        let item = answer.item.unwrap_or_default();
        Ok(names_of(&item).iter().cloned().collect())
    }

    fn now_s(&self) -> i64 {
        self.clock.now_ms().div_euclid(1_000)
    }
}

#[async_trait]
impl Subscribers for ConnectionTable {
    async fn subscribe(&self, connection: &str, topics: &[Topic]) -> Result<(), PortError> {
        let wanted = names(topics);
        let count = self.topics_of(connection).await?.union(&wanted).count();
        if count > TOPICS_PER_CONNECTION_MAX {
            return Err(PortError {
                operation: SUBSCRIBE,
                retryable: false,
                source: Box::new(TooManyTopics(count)),
            });
        }
        let expires_at = number(self.now_s() + i64::from(self.ttl_seconds));
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(connection)))
            .expression_attribute_names("#ttl", EXPIRES_AT)
            .expression_attribute_values(":ttl", expires_at.clone());
        // DynamoDB has no empty sets.
        let update = match wanted.is_empty() {
            true => update.update_expression("SET #ttl = :ttl"),
            false => update
                .update_expression("SET #ttl = :ttl ADD #tokens :tokens")
                .expression_attribute_names("#tokens", TOKENS)
                .expression_attribute_values(":tokens", set(&wanted)),
        };
        let sent = update.send().await;
        sent.map_err(|error| port_error(SUBSCRIBE, &error))?;
        Ok(())
    }

    async fn unsubscribe(&self, connection: &str, topics: &[Topic]) -> Result<(), PortError> {
        let unwanted = names(topics);
        if unwanted.is_empty() {
            return Ok(());
        }
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(connection)))
            .condition_expression("attribute_exists(#topic)")
            .update_expression("DELETE #tokens :tokens")
            .expression_attribute_names("#topic", TOPIC)
            .expression_attribute_names("#tokens", TOKENS)
            .expression_attribute_values(":tokens", set(&unwanted));
        match update.send().await {
            Ok(_) => Ok(()),
            // Without the condition, this would create an unknown connection.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|refused| refused.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(port_error(UNSUBSCRIBE, &error)),
        }
    }

    async fn forget(&self, connection: &str) -> Result<(), PortError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(connection)))
            .send()
            .await
            .map_err(|error| port_error(FORGET, &error))?;
        Ok(())
    }

    async fn watchers(&self) -> Result<Vec<Watcher>, PortError> {
        // Half the price of a consistent read; a new subscriber gets updates a moment later.
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#topic = :topic")
            // DynamoDB removes expired items within days, not at once.
            .filter_expression("#ttl > :now AND attribute_exists(#tokens)")
            .projection_expression("#id, #tokens")
            .expression_attribute_names("#topic", TOPIC)
            .expression_attribute_names("#ttl", EXPIRES_AT)
            .expression_attribute_names("#id", CONNECTION_ID)
            .expression_attribute_names("#tokens", TOKENS)
            .expression_attribute_values(":topic", text(CONNECTION))
            .expression_attribute_values(":now", number(self.now_s()))
            .into_paginator()
            .items()
            .send();
        let mut watchers = Vec::new();
        while let Some(item) = pages.next().await {
            let item: Item = item.map_err(|error| port_error(WATCHERS, &error))?;
            let id = text_of(&item, CONNECTION_ID).map_err(|error| error.at(WATCHERS))?;
            watchers.push(Watcher {
                connection: id.to_owned(),
                topics: names_of(&item)
                    .iter()
                    .filter_map(|name| topic(name))
                    .collect(),
            });
        }
        Ok(watchers)
    }
}

/// The names of an item's topics; DynamoDB has no empty sets.
fn names_of(item: &Item) -> &[String] {
    let names = item.get(TOKENS).and_then(|names| names.as_ss().ok());
    names.map_or(&[], Vec::as_slice)
}

fn name(topic: &Topic) -> &str {
    match topic {
        Topic::All => EVERYTHING,
        Topic::Token(token) => token.as_str(),
    }
}

/// The topic of a name. No token has a name that is not one of a token.
fn topic(name: &str) -> Option<Topic> {
    match name {
        EVERYTHING => Some(Topic::All),
        name => Token::new(name).ok().map(Topic::Token),
    }
}

fn names(topics: &[Topic]) -> BTreeSet<String> {
    topics.iter().map(|topic| name(topic).to_owned()).collect()
}

fn set(names: &BTreeSet<String>) -> AttributeValue {
    AttributeValue::Ss(names.iter().cloned().collect())
}

fn key(connection: &str) -> Item {
    Item::from([
        (TOPIC.to_owned(), text(CONNECTION)),
        (CONNECTION_ID.to_owned(), text(connection)),
    ])
}
