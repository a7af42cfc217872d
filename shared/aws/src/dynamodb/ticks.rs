//! The table of ticks, which is the source of truth, and the latest ticks of a token.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use app::ports::{Clock, CohortTick, LatestTicks, PortError, PutOutcome, PutReceipt, TickStore};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use domain::{FUTURE_TOLERANCE_MS, Tick, Token};
use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::arrival_time_claims::{claim, is_arrival_stamped};
use super::attributes::{Item, PK, SK, text};
use super::batch_write::{BatchWriter, Write};
use super::tick_item::{Place, item, partition, tick_of};
use crate::error::port_error;

/// How long storing a batch may take, including retries; the webhook's own budget is 700 ms.
pub const STORE_TIMEOUT: Duration = Duration::from_millis(500);

/// The most concurrent claims.
const CLAIMS_AT_ONCE_MAX: usize = 16;

/// How many of a day's latest ticks are searched for the latest of each quote.
const LATEST_TICKS_READ: i32 = 50;

const MS_PER_DAY: i64 = 86_400_000;

/// Ticks in a DynamoDB table.
///
/// Storing overwrites an item with the same key, so a tick that was stored before is reported as
/// `Stored` again. Detecting that would need a condition on every item, which batches do not
/// support.
#[derive(Clone)]
pub struct TickTable {
    client: Client,
    table: String,
    retention_days: u32,
    store_timeout: Duration,
    clock: Arc<dyn Clock>,
    writer: BatchWriter,
}

impl TickTable {
    /// Ticks in `table`. DynamoDB removes them `retention_days` after they arrived. Storing a batch
    /// takes at most `store_timeout`, see [`STORE_TIMEOUT`].
    #[must_use]
    pub fn new(
        client: Client,
        table: impl Into<String>,
        retention_days: u32,
        store_timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let table = table.into();
        Self {
            writer: BatchWriter::new(&client, table.clone(), [PK, SK]),
            client,
            table,
            retention_days,
            store_timeout,
            clock,
        }
    }
}

#[async_trait]
impl TickStore for TickTable {
    async fn put(&self, ticks: &[CohortTick]) -> Result<PutReceipt, PortError> {
        let ticks: Vec<&Tick> = ticks.iter().map(|tick| &tick.tick).collect();
        let deadline = Instant::now() + self.store_timeout;
        let claimed = self.claims(&ticks, deadline).await;
        let mut batch = Batch::default();
        for (index, tick) in ticks.iter().enumerate() {
            match claimed.get(&index) {
                None => batch.add((*tick).clone(), self.retention_days),
                Some(Ok(at_ms)) => {
                    if *at_ms != tick.timestamp_ms {
                        batch.retimed.push((index, *at_ms));
                    }
                    let tick = Tick {
                        timestamp_ms: *at_ms,
                        ingested_at_ms: *at_ms,
                        ..(*tick).clone()
                    };
                    batch.add(tick, self.retention_days);
                }
                Some(Err(_)) => batch.row_of_tick.push(None),
            }
        }
        let failures = self.writer.write(batch.writes, deadline).await;
        let outcome = |row: &Option<usize>| match row.map(|row| failures.get(row)) {
            Some(Some(None)) => PutOutcome::Stored,
            Some(Some(Some(_)) | None) | None => PutOutcome::Refused,
        };
        let outcomes: Vec<PutOutcome> = batch.row_of_tick.iter().map(outcome).collect();
        if !outcomes.is_empty() && outcomes.iter().all(|it| *it == PutOutcome::Refused) {
            // Nothing was stored: report the first cause.
            let of_writes = failures.iter().flatten().next();
            let of_claims = claimed.into_values().find_map(Result::err);
            if let Some(error) = of_writes.map(|it| it.at("store ticks")).or(of_claims) {
                return Err(error);
            }
        }
        let mut retimed = batch.retimed;
        retimed.retain(|(index, _)| outcomes.get(*index) == Some(&PutOutcome::Stored));
        Ok(PutReceipt {
            outcomes,
            outbox_id: None,
            retimed,
            offer_again: Vec::new(),
        })
    }
}

impl TickTable {
    /// Claims the arrival-stamped ticks. Returns, by position, the time of each or why it could not
    /// be claimed.
    async fn claims(
        &self,
        ticks: &[&Tick],
        deadline: Instant,
    ) -> HashMap<usize, Result<i64, PortError>> {
        let clocked = ticks
            .iter()
            .enumerate()
            .filter(|(_, tick)| is_arrival_stamped(tick));
        let calls: Vec<_> = clocked
            .map(|(index, tick)| self.claim(index, tick, deadline))
            .collect();
        stream::iter(calls)
            .buffer_unordered(CLAIMS_AT_ONCE_MAX)
            .collect()
            .await
    }

    async fn claim(
        &self,
        index: usize,
        tick: &Tick,
        deadline: Instant,
    ) -> (usize, Result<i64, PortError>) {
        let days = self.retention_days;
        let claimed = claim(&self.client, &self.table, tick, days, deadline).await;
        if let Err(error) = &claimed {
            tracing::warn!(error = %error, cause = %error.source, "a tick could not be claimed");
        }
        (index, claimed)
    }
}

/// The items of a batch. Of several ticks with the same key, the first becomes the item: a call
/// must not have a key twice.
#[derive(Default)]
struct Batch {
    writes: Vec<Write>,
    row_of_place: HashMap<Place, usize>,
    /// One entry per tick; `None` if it cannot be stored.
    row_of_tick: Vec<Option<usize>>,
    retimed: Vec<(usize, i64)>,
}

impl Batch {
    fn add(&mut self, tick: Tick, retention_days: u32) {
        let row = self.row(&tick, retention_days);
        self.row_of_tick.push(row);
    }

    fn row(&mut self, tick: &Tick, retention_days: u32) -> Option<usize> {
        let place = match Place::of(tick) {
            Ok(place) => place,
            Err(error) => {
                tracing::error!(tick.id = %tick.tick_id, cause = %error, "a tick cannot be stored");
                return None;
            }
        };
        if let Some(row) = self.row_of_place.get(&place) {
            return Some(*row);
        }
        match item(tick, place.clone(), retention_days) {
            Ok(item) => {
                let row = self.writes.len();
                self.writes.push(Write::Put(item));
                self.row_of_place.insert(place, row);
                Some(row)
            }
            Err(error) => {
                tracing::error!(tick.id = %tick.tick_id, cause = %error, "a tick cannot be stored");
                None
            }
        }
    }
}

#[async_trait]
impl LatestTicks for TickTable {
    /// The latest of each quote among the 50 latest ticks of each day.
    async fn latest(&self, token: &Token) -> Result<Vec<Tick>, PortError> {
        let now_ms = self.clock.now_ms();
        // A source's clock may be ahead of ours, so its tick may be in tomorrow's partition.
        let moments = [now_ms + FUTURE_TOLERANCE_MS, now_ms, now_ms - MS_PER_DAY];
        let partitions = moments
            .iter()
            .map(|at_ms| partition(token, *at_ms))
            .collect::<Result<HashSet<String>, _>>()
            .map_err(|error| error.at(READ))?;
        let days: Vec<Vec<Tick>> = stream::iter(partitions.into_iter().map(|it| self.newest(it)))
            .buffer_unordered(moments.len())
            .try_collect()
            .await?;
        let mut latest: BTreeMap<Token, Tick> = BTreeMap::new();
        for tick in days.into_iter().flatten() {
            let moment = |tick: &Tick| (tick.timestamp_ms, tick.tick_id);
            let held = latest.get(&tick.quote);
            if held.is_none_or(|held| moment(held) < moment(&tick)) {
                latest.insert(tick.quote.clone(), tick);
            }
        }
        Ok(latest.into_values().collect())
    }
}

/// The operation's name in errors.
const READ: &str = "read the latest ticks";

impl TickTable {
    /// The newest ticks of a partition.
    async fn newest(&self, partition: String) -> Result<Vec<Tick>, PortError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":pk", text(partition))
            .scan_index_forward(false)
            .limit(LATEST_TICKS_READ)
            .send()
            .await
            .map_err(|error| port_error(READ, &error))?;
        let ticks = answer.items().iter().map(|item: &Item| tick_of(item));
        ticks
            .collect::<Result<_, _>>()
            .map_err(|error| error.at(READ))
    }
}
