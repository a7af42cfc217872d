//! Reads the table of ticks by token and event time, as its key has them.

use std::collections::BTreeSet;
use std::sync::Arc;

use app::candle_rebuild::EventTicks;
use app::ports::{Clock, PortError};
use app::read_back::StoredTick;
use app::utc_days::days;
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use chrono::NaiveDate;
use domain::{FUTURE_TOLERANCE_MS, MS_PER_DAY, Token};

use super::attributes::{Item, PK, SK, sortable, text};
use super::stored_days::listed;
use super::tick_item::{partition, stored_tick_of};
use crate::error::port_error;

const READ: &str = "read the ticks of a token";

/// The ticks of a table, by token and event time.
#[derive(Clone)]
pub struct TicksByEventTime {
    client: Client,
    table: String,
    clock: Arc<dyn Clock>,
}

fn start_of_day(ms: i64) -> i64 {
    ms.div_euclid(MS_PER_DAY) * MS_PER_DAY
}

/// The UTC days of a range, as they are in keys.
fn keys_of_days(from_ms: i64, to_ms: i64) -> Vec<String> {
    days(from_ms, to_ms)
        .iter()
        .map(NaiveDate::to_string)
        .collect()
}

impl TicksByEventTime {
    /// The ticks of a table.
    #[must_use]
    pub fn new(client: &Client, table: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            client: client.clone(),
            table: table.into(),
            clock,
        }
    }

    /// A page of the ticks of a partition, which is a token's day, in the order of their event times; and after which key
    /// the next page begins, unless it is the last.
    async fn page(
        &self,
        partition: &str,
        [from_ms, to_ms]: [i64; 2],
        after: Option<Item>,
    ) -> Result<(Vec<StoredTick>, Option<Item>), PortError> {
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
            .set_exclusive_start_key(after)
            .consistent_read(true);
        let page = query
            .send()
            .await
            .map_err(|error| port_error(READ, &error))?;
        let stored = |item| {
            let stored = stored_tick_of(item).map_err(|error| error.at(READ))?;
            Ok(StoredTick {
                tick: stored.tick,
                in_cohort: stored.in_cohort,
            })
        };
        let ticks: Result<Vec<StoredTick>, PortError> = page.items().iter().map(stored).collect();
        Ok((
            ticks?,
            page.last_evaluated_key.filter(|key| !key.is_empty()),
        ))
    }
}

#[async_trait]
impl EventTicks for TicksByEventTime {
    /// Those of the days that the webhook has listed, whenever their ticks were received since.
    async fn tokens(&self, from_ms: i64, to_ms: i64) -> Result<Vec<Token>, PortError> {
        let last_ms = self.clock.now_ms().max(to_ms);
        let wanted = keys_of_days(from_ms, to_ms);
        let mut tokens = BTreeSet::new();
        // A sender's clock may be ahead, so a tick may be received before the day of its event.
        for received in keys_of_days(from_ms.saturating_sub(FUTURE_TOLERANCE_MS), last_ms) {
            for partition in listed(&self.client, &self.table, &received).await? {
                let Some((token, day)) = partition.rsplit_once('#') else {
                    continue;
                };
                if wanted.iter().any(|wanted| wanted == day)
                    && let Ok(token) = Token::new(token)
                {
                    tokens.insert(token);
                }
            }
        }
        Ok(tokens.into_iter().collect())
    }

    async fn days(&self, from_ms: i64, to_ms: i64) -> Result<BTreeSet<NaiveDate>, PortError> {
        // A sender's clock may be ahead, but not by more.
        let last_ms = self.clock.now_ms().saturating_add(FUTURE_TOLERANCE_MS);
        Ok(days(from_ms, to_ms.min(last_ms.saturating_add(1))))
    }

    async fn of_token(
        &self,
        token: &Token,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<StoredTick>, PortError> {
        let mut ticks = Vec::new();
        let mut day_ms = start_of_day(from_ms);
        while day_ms < to_ms {
            let partition = partition(token, day_ms).map_err(|error| error.at(READ))?;
            let mut after = None;
            loop {
                let (page, next) = self.page(&partition, [from_ms, to_ms], after).await?;
                ticks.extend(page);
                match next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            day_ms += MS_PER_DAY;
        }
        ticks.retain(|row| (from_ms..to_ms).contains(&row.tick.timestamp_ms));
        Ok(ticks)
    }
}
