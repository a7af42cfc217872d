//! Reads the table of ticks by token and event time, as its key has them.

use std::collections::BTreeSet;

use app::candle_rebuild::EventTicks;
use app::ports::PortError;
use app::read_back::{Page, PageSender, Pages, ReceiptRange, StoredTick, StoredTicks, channel};
use app::tick_replay::event_days;
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use domain::Token;

use super::attributes::{Item, PK, SK, sortable, text};
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

/// The ticks of some tokens, by the time of their receipt: those whose event time is on one of its days, the day before,
/// or the day after.
#[derive(Debug, Clone)]
pub struct TicksOfTokens {
    ticks: TicksByEventTime,
    tokens: BTreeSet<Token>,
}

impl TicksOfTokens {
    /// The ticks of these tokens in a table.
    #[must_use]
    pub fn new(ticks: TicksByEventTime, tokens: BTreeSet<Token>) -> Self {
        Self { ticks, tokens }
    }

    async fn send(
        &self,
        range: ReceiptRange,
        sender: &PageSender<StoredTick>,
    ) -> Result<(), PortError> {
        for token in &self.tokens {
            for day in event_days(range) {
                let start_ms = day
                    .and_time(chrono::NaiveTime::MIN)
                    .and_utc()
                    .timestamp_millis();
                let partition = partition(token, start_ms).map_err(|error| error.at(READ))?;
                let all_day = [start_ms, start_ms + MS_PER_DAY];
                let mut after = None;
                loop {
                    let (mut ticks, next) = self.ticks.page(&partition, all_day, after).await?;
                    ticks.retain(|row| range.contains(row.tick.ingested_at_ms));
                    if sender.send(Ok(Page::Ticks(ticks))).await.is_err() {
                        // Nobody wants more.
                        return Ok(());
                    }
                    match next {
                        Some(next) => after = Some(next),
                        None => break,
                    }
                }
            }
        }
        Ok(())
    }
}

impl StoredTicks for TicksOfTokens {
    fn stored(&self, range: ReceiptRange) -> Pages<'_, StoredTick> {
        let (sender, pages) = channel();
        let reader = self.clone();
        tokio::spawn(async move {
            if let Err(error) = reader.send(range, &sender).await {
                drop(sender.send(Err(error)).await);
            }
        });
        pages
    }
}
