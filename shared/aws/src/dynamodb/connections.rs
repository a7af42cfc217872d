//! The table of connections: the subscriptions of the live API.
//!
//! There is one item per topic and connection, so a topic's subscribers are one query, and one item
//! per connection, under the topic `#connection`, which lists its topics for the cleanup. The
//! latter is written first and removed last, so it lists all the others even after an interruption.
//! A connection that disappears silently expires.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use app::ports::{Clock, PortError, Subscribers, Topic};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::attributes::{EXPIRES_AT, Item, number, text, text_of};
use super::batch_write::{BatchWriter, Write};
use crate::error::port_error;

/// The most topics of a connection.
pub const TOPICS_PER_CONNECTION_MAX: usize = 200;

/// How long changing the topics of a connection may take.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(3);

/// The most concurrent queries.
const QUERIES_AT_ONCE_MAX: usize = 16;

/// The partition key: a token, [`EVERYTHING`] or [`CONNECTION`].
const TOPIC: &str = "topic";
/// The sort key.
const CONNECTION_ID: &str = "connection_id";
/// The topics of a connection, in its item.
const TOKENS: &str = "tokens";

/// The topic of subscribers to all tokens; no token has this name.
const EVERYTHING: &str = "*";
/// The topic of the items per connection; no token has this name.
const CONNECTION: &str = "#connection";

const SUBSCRIBE: &str = "subscribe";
const UNSUBSCRIBE: &str = "unsubscribe";
const FORGET: &str = "forget a connection";
const WATCHING: &str = "read subscribers";

/// Connections of the live API in a DynamoDB table.
#[derive(Clone)]
pub struct ConnectionTable {
    client: Client,
    table: String,
    ttl_seconds: u32,
    clock: Arc<dyn Clock>,
    writer: BatchWriter,
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
        let table = table.into();
        Self {
            writer: BatchWriter::new(&client, table.clone(), [TOPIC, CONNECTION_ID]),
            client,
            table,
            ttl_seconds,
            clock,
        }
    }

    /// The names of a connection's topics; `None` if it is unknown.
    async fn topics_of(
        &self,
        operation: &'static str,
        connection: &str,
    ) -> Result<Option<BTreeSet<String>>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(CONNECTION, connection)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error(operation, &error))?;
        Ok(answer.item.map(|item| {
            let names = item.get(TOKENS).and_then(|names| names.as_ss().ok());
            names.into_iter().flatten().cloned().collect()
        }))
    }

    async fn remove(
        &self,
        operation: &'static str,
        connection: &str,
        names: impl IntoIterator<Item = String>,
    ) -> Result<(), PortError> {
        let deletes = names
            .into_iter()
            .map(|name| Write::Delete(key(&name, connection)))
            .collect();
        let deadline = Instant::now() + CHANGE_TIMEOUT;
        self.writer.write_all(operation, deletes, deadline).await
    }

    fn now_s(&self) -> i64 {
        self.clock.now_ms().div_euclid(1_000)
    }

    async fn watching_one(&self, name: &str) -> Result<Vec<String>, PortError> {
        // Half the price of a consistent read; a new subscriber gets updates a moment later.
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#topic = :topic")
            // DynamoDB removes expired items within days, not at once.
            .filter_expression("#ttl > :now")
            .projection_expression("#id")
            .expression_attribute_names("#topic", TOPIC)
            .expression_attribute_names("#ttl", EXPIRES_AT)
            .expression_attribute_names("#id", CONNECTION_ID)
            .expression_attribute_values(":topic", text(name))
            .expression_attribute_values(":now", number(self.now_s()))
            .into_paginator()
            .items()
            .send();
        let mut connections = Vec::new();
        while let Some(item) = pages.next().await {
            let item: Item = item.map_err(|error| port_error(WATCHING, &error))?;
            let id = text_of(&item, CONNECTION_ID).map_err(|error| error.at(WATCHING))?;
            connections.push(id.to_owned());
        }
        Ok(connections)
    }
}

#[async_trait]
impl Subscribers for ConnectionTable {
    async fn subscribe(&self, connection: &str, topics: &[Topic]) -> Result<(), PortError> {
        let wanted = names(topics);
        let held = self.topics_of(SUBSCRIBE, connection).await?;
        let count = held.unwrap_or_default().union(&wanted).count();
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
            .set_key(Some(key(CONNECTION, connection)))
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
        update
            .send()
            .await
            .map_err(|error| port_error(SUBSCRIBE, &error))?;
        let put = |name: &String| {
            let mut item = key(name, connection);
            item.insert(EXPIRES_AT.to_owned(), expires_at.clone());
            Write::Put(item)
        };
        let deadline = Instant::now() + CHANGE_TIMEOUT;
        let puts = wanted.iter().map(put).collect();
        self.writer.write_all(SUBSCRIBE, puts, deadline).await
    }

    async fn unsubscribe(&self, connection: &str, topics: &[Topic]) -> Result<(), PortError> {
        let unwanted = names(topics);
        if unwanted.is_empty() {
            return Ok(());
        }
        self.remove(UNSUBSCRIBE, connection, unwanted.clone())
            .await?;
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(CONNECTION, connection)))
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
        let Some(held) = self.topics_of(FORGET, connection).await? else {
            return Ok(());
        };
        self.remove(FORGET, connection, held).await?;
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(CONNECTION, connection)))
            .send()
            .await
            .map_err(|error| port_error(FORGET, &error))?;
        Ok(())
    }

    async fn watching(&self, topics: &[Topic]) -> Result<Vec<Vec<String>>, PortError> {
        let queries: Vec<_> = topics
            .iter()
            .map(|topic| self.watching_one(name(topic)))
            .collect();
        stream::iter(queries)
            .buffered(QUERIES_AT_ONCE_MAX)
            .try_collect()
            .await
    }
}

fn name(topic: &Topic) -> &str {
    match topic {
        Topic::All => EVERYTHING,
        Topic::Token(token) => token.as_str(),
    }
}

fn names(topics: &[Topic]) -> BTreeSet<String> {
    topics.iter().map(|topic| name(topic).to_owned()).collect()
}

fn set(names: &BTreeSet<String>) -> AttributeValue {
    AttributeValue::Ss(names.iter().cloned().collect())
}

fn key(topic: &str, connection: &str) -> Item {
    Item::from([
        (TOPIC.to_owned(), text(topic)),
        (CONNECTION_ID.to_owned(), text(connection)),
    ])
}
