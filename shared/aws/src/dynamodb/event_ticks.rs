//! Reads the table of ticks by token and event time, as its key has them.

use app::candle_rebuild::EventTicks;
use app::ports::PortError;
use app::read_back::StoredTick;
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use domain::Token;

use super::attributes::{PK, SK, sortable, text};
use super::tick_item::{partition, stored_tick_of};
use crate::error::port_error;

const READ: &str = "read the ticks of a token";

const MS_PER_DAY: i64 = 86_400_000;

/// The ticks of a table, by token and event time.
#[derive(Debug, Clone)]
pub struct TicksByEventTime {
    client: Client,
    table: String,
}

impl TicksByEventTime {
    /// The ticks of a table.
    #[must_use]
    pub fn new(client: &Client, table: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            table: table.into(),
        }
    }

    /// Adds the ticks of a partition, which is a token's day.
    async fn of_day(
        &self,
        partition: &str,
        from_ms: i64,
        to_ms: i64,
        ticks: &mut Vec<StoredTick>,
    ) -> Result<(), PortError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", text(partition))
            .expression_attribute_values(":from", text(sortable(from_ms)))
            // A key begins with its time, so it sorts before the time after it.
            .expression_attribute_values(":to", text(sortable(to_ms)))
            .consistent_read(true);
        let mut pages = query.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error(READ, &error))?;
            for item in page.items() {
                let stored = stored_tick_of(item).map_err(|error| error.at(READ))?;
                ticks.push(StoredTick {
                    tick: stored.tick,
                    in_cohort: stored.in_cohort,
                });
            }
        }
        Ok(())
    }
}

#[async_trait]
impl EventTicks for TicksByEventTime {
    /// # Errors
    /// Always: the key of the table has the token, and nothing lists those that there are.
    async fn tokens(&self) -> Result<Vec<Token>, PortError> {
        Err(PortError {
            operation: "list the tokens",
            retryable: false,
            source: "the table of ticks does not list them: name the tokens".into(),
        })
    }

    async fn of_token(
        &self,
        token: &Token,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<StoredTick>, PortError> {
        let mut ticks = Vec::new();
        let mut day_ms = from_ms.div_euclid(MS_PER_DAY) * MS_PER_DAY;
        while day_ms < to_ms {
            let partition = partition(token, day_ms).map_err(|error| error.at(READ))?;
            self.of_day(&partition, from_ms, to_ms, &mut ticks).await?;
            day_ms += MS_PER_DAY;
        }
        ticks.retain(|row| (from_ms..to_ms).contains(&row.tick.timestamp_ms));
        Ok(ticks)
    }
}
