//! The table of ticks, which is the source of truth, and the latest ticks of a token.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use app::ports::{Clock, CohortTick, LatestTicks, PortError, PutOutcome, PutReceipt, TickStore};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use domain::analytics::Latest;
use domain::{FUTURE_TOLERANCE_MS, MS_PER_DAY, Tick, Token};
use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::attributes::{Item, PK, SK, sortable, text};
use super::known_ticks::DeliveredIdentity;
use super::put_rows::RowWriter;
use super::store_timeout::StoreTimeout;
use super::tick_item::{partition, tick_of};
use super::tick_row::{Refusal, Row, RowOutcome};
use crate::error::port_error;

/// How long after a tick was received it may be offered to the stream again, in milliseconds: the
/// stream keeps its records as long. Later, a sender no longer retries by itself, and the analysis
/// would have nothing to compare with.
pub const OFFER_AGAIN_MS: i64 = MS_PER_DAY;

/// How many of a day's latest ticks are searched for the latest of each quote.
const LATEST_TICKS_READ: i32 = 50;

/// Ticks in a DynamoDB table.
///
/// A tick that is stored stays as it is, with the time of its first receipt, its expiry, and the
/// decision whether it belongs to the stream. A repeat is read, and not written (see `put_rows`). If it
/// belongs to the stream and was received within [`OFFER_AGAIN_MS`], it must be offered again, since
/// the table does not know whether its first offer succeeded: a process may have ended between the
/// two.
#[derive(Clone)]
pub struct TickTable {
    client: Client,
    table: String,
    timeout: StoreTimeout,
    new_ids_from_ms: i64,
    clock: Arc<dyn Clock>,
    rows: Arc<RowWriter>,
}

/// The settings of a [`TickTable`].
#[derive(Debug, Clone)]
pub struct TickTableConfig {
    /// The table's name.
    pub table: String,
    /// How many days after their receipt DynamoDB removes ticks.
    pub retention_days: u32,
    /// How long storing a batch may take.
    pub timeout: StoreTimeout,
    /// From which event time on the keys of ticks contain the quote, in epoch milliseconds: that from
    /// which on ticks get ids of version 1.1.
    pub new_ids_from_ms: i64,
}

impl TickTable {
    /// Ticks in a table.
    #[must_use]
    pub fn new(client: Client, config: TickTableConfig, clock: Arc<dyn Clock>) -> Self {
        let TickTableConfig {
            table,
            retention_days,
            timeout,
            new_ids_from_ms,
        } = config;
        let rows = RowWriter::new(&client, table.clone(), retention_days, new_ids_from_ms);
        Self {
            client,
            table,
            timeout,
            new_ids_from_ms,
            clock,
            rows: Arc::new(rows),
        }
    }
}

/// Where the outcome of a position comes from.
enum Position {
    /// It is the first with its identity, in this row.
    First(usize),
    /// An earlier position has the same identity, in this row.
    Repeat(usize),
    /// It has no key.
    Invalid(Refusal),
}

#[async_trait]
impl TickStore for TickTable {
    async fn put(&self, ticks: &[CohortTick]) -> Result<PutReceipt, PortError> {
        let deadline = Instant::now() + self.timeout.of(ticks.len());
        let (positions, rows) = self.rows_of(ticks);
        let outcomes = self.rows.put(rows, deadline).await;
        let mut receipt = PutReceipt {
            outcomes: Vec::with_capacity(ticks.len()),
            outbox_id: None,
            retimed: Vec::new(),
            offer_again: Vec::new(),
        };
        let oldest_ms = self.clock.now_ms().saturating_sub(OFFER_AGAIN_MS);
        let (mut refusal, mut refused) = (None, 0_usize);
        for (index, (position, CohortTick { tick, .. })) in
            positions.into_iter().zip(ticks).enumerate()
        {
            let (outcome, is_first) = match position {
                Position::First(row) => (outcomes.get(&row).cloned(), true),
                Position::Repeat(row) => (outcomes.get(&row).cloned(), false),
                Position::Invalid(refusal) => (Some(RowOutcome::Refused(refusal)), true),
            };
            receipt.outcomes.push(match outcome {
                Some(RowOutcome::Stored(at_ms)) if is_first => {
                    if at_ms != tick.timestamp_ms {
                        receipt.retimed.push((index, at_ms));
                    }
                    PutOutcome::Stored
                }
                Some(RowOutcome::Known(stored)) => {
                    let is_due = |stored: &Tick| is_first && stored.ingested_at_ms >= oldest_ms;
                    receipt.offer_again.extend(stored.filter(is_due));
                    PutOutcome::Duplicate
                }
                Some(RowOutcome::Stored(_)) => PutOutcome::Duplicate,
                Some(RowOutcome::Refused(why)) => {
                    refused += 1;
                    refusal.get_or_insert(why);
                    PutOutcome::Refused
                }
                None => {
                    refused += 1;
                    PutOutcome::Refused
                }
            });
        }
        if let Some(refusal) = refusal {
            let cause = refusal.reason.as_ref();
            tracing::warn!(refused, of = ticks.len(), cause, "ticks were not stored");
            if refused == ticks.len() {
                return Err(refusal.into_error());
            }
        }
        Ok(receipt)
    }
}

impl TickTable {
    /// The rows of a batch, each with another identity, and what each position is.
    fn rows_of(&self, ticks: &[CohortTick]) -> (Vec<Position>, Vec<Row>) {
        let mut rows: Vec<Row> = Vec::with_capacity(ticks.len());
        let mut row_of: HashMap<DeliveredIdentity, usize> = HashMap::with_capacity(ticks.len());
        let mut position = |decided: &CohortTick| {
            let identity = match DeliveredIdentity::of(decided, self.new_ids_from_ms) {
                Ok(identity) => identity,
                Err(error) => return Position::Invalid(Refusal::of_item(&error)),
            };
            if let Some(row) = row_of.get(&identity) {
                return Position::Repeat(*row);
            }
            row_of.insert(identity.clone(), rows.len());
            rows.push(Row::new(identity, decided.tick.clone(), decided.in_cohort));
            Position::First(rows.len() - 1)
        };
        let positions = ticks.iter().map(&mut position).collect();
        (positions, rows)
    }
}

#[async_trait]
impl LatestTicks for TickTable {
    /// The latest of each quote among the 50 latest ticks of each day, by effective time.
    async fn latest(&self, token: &Token) -> Result<Vec<Tick>, PortError> {
        let now_ms = self.clock.now_ms();
        // A source's clock may be ahead of ours, so its tick may be in tomorrow's partition.
        let moments = [now_ms + FUTURE_TOLERANCE_MS, now_ms, now_ms - MS_PER_DAY];
        let partitions = moments
            .iter()
            .map(|at_ms| partition(token, *at_ms))
            .collect::<Result<HashSet<String>, _>>()
            .map_err(|error| error.at(READ))?;
        let days: Vec<Vec<Tick>> =
            stream::iter(partitions.into_iter().map(|it| self.newest(it, now_ms)))
                .buffer_unordered(moments.len())
                .try_collect()
                .await?;
        let mut latest: BTreeMap<Token, Tick> = BTreeMap::new();
        for tick in days.into_iter().flatten() {
            let held = latest.get(&tick.quote);
            if held.is_none_or(|held| Latest::of(held) < Latest::of(&tick)) {
                latest.insert(tick.quote.clone(), tick);
            }
        }
        Ok(latest.into_values().collect())
    }
}

/// The operation's name in errors.
const READ: &str = "read the latest ticks";

impl TickTable {
    /// The newest ticks of a partition. If all of them are ahead of our clock, there may be newer ones
    /// by effective time before them, so these are read, too.
    async fn newest(&self, partition: String, now_ms: i64) -> Result<Vec<Tick>, PortError> {
        let mut ticks = self.newest_until(&partition, None).await?;
        let is_full = ticks.len() >= usize::try_from(LATEST_TICKS_READ).unwrap_or(usize::MAX);
        if is_full && ticks.iter().all(|tick| tick.timestamp_ms > now_ms) {
            ticks.extend(self.newest_until(&partition, Some(now_ms)).await?);
        }
        Ok(ticks)
    }

    async fn newest_until(
        &self,
        partition: &str,
        until_ms: Option<i64>,
    ) -> Result<Vec<Tick>, PortError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":pk", text(partition))
            .scan_index_forward(false)
            .limit(LATEST_TICKS_READ);
        let query = match until_ms {
            None => query.key_condition_expression("#pk = :pk"),
            Some(until_ms) => query
                .key_condition_expression("#pk = :pk AND #sk < :end")
                .expression_attribute_names("#sk", SK)
                .expression_attribute_values(":end", text(sortable(until_ms.saturating_add(1)))),
        };
        let answer = query
            .send()
            .await
            .map_err(|error| port_error(READ, &error))?;
        let ticks = answer.items().iter().map(|item: &Item| tick_of(item));
        ticks
            .collect::<Result<_, _>>()
            .map_err(|error| error.at(READ))
    }
}
