//! Blocks of candles and anomalies in the table of the analysis.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use app::ports::{Clock, PortError};
use app::replay::{Blocks, StoredBlock};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use domain::Pair;
use domain::analytics::{Anomaly, Candle, CandleBlock, Interval};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use super::anomaly_item::{anomalies_of, anomaly_item, anomaly_partition};
use super::attributes::{Item, PK, SK, bytes, fits, sortable, text, text_of};
use super::batch_write::{BatchWriter, without_retries};
use super::block_item::{
    POSITION, block_items, block_key, block_of, block_partition, members_of, part_keys,
};
use super::reads::{Found, read_all};
use super::unarchived_days::day_item;
use crate::emf::{InvocationMetrics, STATES_SET_ASIDE};
use crate::error::CallError;
use crate::retry::{Backoff, within};

mod range;

pub use range::{ReadRange, ReadRangeError};

/// How long a call of the port may take, including retries.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The most concurrent calls.
const CALLS_AT_ONCE_MAX: usize = 16;

/// The most blocks within an hour.
const BLOCKS_PER_HOUR: i32 = 6;

const MS_PER_HOUR: i64 = 3_600_000;

const LOAD: &str = "read candles";
const STORE: &str = "store candles";

/// Candles and anomalies in a DynamoDB table.
#[derive(Clone)]
pub struct CandleTable {
    client: Client,
    reader: Client,
    table: String,
    retention_days: u32,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    writer: BatchWriter,
    metrics: Option<Arc<InvocationMetrics>>,
}

impl CandleTable {
    /// The table. DynamoDB removes items `retention_days` after they were last written. A call takes at most
    /// `timeout`, see [`TIMEOUT`].
    #[must_use]
    pub fn new(
        client: &Client,
        table: impl Into<String>,
        retention_days: u32,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let table = table.into();
        Self {
            writer: BatchWriter::new(client, table.clone(), [PK, SK]),
            client: without_retries(client),
            reader: client.clone(),
            table,
            retention_days,
            timeout,
            clock,
            metrics: None,
        }
    }

    /// Counts blocks that cannot be read.
    #[must_use]
    pub fn with_metrics(self, metrics: Arc<InvocationMetrics>) -> Self {
        Self {
            metrics: Some(metrics),
            ..self
        }
    }

    fn set_aside(&self, pair: &Pair, cause: &dyn std::error::Error) {
        tracing::error!(pair = %pair, cause = %cause, "stored candles of a pair cannot be read and are set aside");
        if let Some(metrics) = &self.metrics {
            metrics.add(STATES_SET_ASIDE, 1);
        }
    }

    /// The newest items of a pair's blocks.
    async fn newest_items(&self, pair: &Pair, deadline: Instant) -> Result<Vec<Item>, PortError> {
        let mut backoff = Backoff::until(deadline);
        loop {
            let call = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("#pk = :pk")
                .expression_attribute_names("#pk", PK)
                .expression_attribute_values(":pk", text(block_partition(pair)))
                .scan_index_forward(false)
                .limit(BLOCKS_PER_HOUR)
                .consistent_read(true)
                .send();
            let late = || CallError::Unanswered("the query timed out".to_owned());
            let answer = within(deadline, call).await.ok_or_else(late);
            match answer.and_then(|answer| answer.map_err(|error| CallError::of(&error))) {
                Ok(answer) => return Ok(answer.items.unwrap_or_default()),
                Err(error) if error.is_transient() && backoff.wait().await => {}
                Err(error) => return Err(error.at(LOAD)),
            }
        }
    }

    /// The blocks of items, with all their members. One that cannot be read is left out.
    async fn with_members(
        &self,
        items: Vec<Item>,
        pair: &Pair,
        deadline: Instant,
    ) -> Result<Vec<StoredBlock>, PortError> {
        let mut blocks = Vec::with_capacity(items.len());
        for item in items {
            let read = block_of(&item, pair)
                .and_then(|stored| Ok((part_keys(&item, &stored.block)?, stored)));
            let (keys, mut stored) = match read {
                Ok(read) => read,
                Err(error) => {
                    self.set_aside(pair, &error);
                    continue;
                }
            };
            if !keys.is_empty() {
                let found =
                    read_all(&self.client, &self.table, LOAD, keys.clone(), deadline).await?;
                for key in &keys {
                    match take(&found, key).map(members_of) {
                        Some(Ok(more)) => stored.block.add_members(more),
                        Some(Err(error)) => self.set_aside(pair, &error),
                        None => {}
                    }
                }
            }
            blocks.push(stored);
        }
        Ok(blocks)
    }

    async fn put_block(&self, stored: &StoredBlock, deadline: Instant) -> Result<(), PortError> {
        let items = block_items(stored, self.clock.now_ms(), self.retention_days);
        for item in items.map_err(|error| error.at(STORE))? {
            let item = fits(item).map_err(|error| error.at(STORE))?;
            if !self.put_item(item, stored, deadline).await? {
                // A later one is stored, with all members of this one.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Stores an item unless it is stored with a later position. Returns whether it is stored now.
    async fn put_item(
        &self,
        item: Item,
        stored: &StoredBlock,
        deadline: Instant,
    ) -> Result<bool, PortError> {
        let mut backoff = Backoff::until(deadline);
        loop {
            let call = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item.clone()))
                .condition_expression("attribute_not_exists(#position) OR #position <= :position")
                .expression_attribute_names("#position", POSITION)
                .expression_attribute_values(
                    ":position",
                    bytes(stored.position.to_bytes().to_vec()),
                )
                .send();
            let late = || CallError::Unanswered("the write timed out".to_owned());
            let error = match within(deadline, call).await {
                Some(Ok(_)) => return Ok(true),
                Some(Err(error)) => {
                    let refused = error.as_service_error();
                    if refused.is_some_and(|it| it.is_conditional_check_failed_exception()) {
                        return Ok(false);
                    }
                    CallError::of(&error)
                }
                None => late(),
            };
            if !error.is_transient() || !backoff.wait().await {
                return Err(error.at(STORE));
            }
        }
    }

    /// Candles of a pair that start in a range, in order of time: the last `limit` of them. Those of a longer interval
    /// than the stored ones are merged from these.
    ///
    /// # Errors
    /// [`PortError`], not retryable if the range is too long.
    pub async fn candles(
        &self,
        pair: &Pair,
        interval: Interval,
        range: ReadRange,
    ) -> Result<Vec<Candle>, PortError> {
        let first_ms = interval.start_of(range.from_ms);
        let from_ms = CandleBlock::start_of(first_ms);
        let end_ms = interval
            .start_of(range.to_ms.saturating_sub(1))
            .saturating_add(interval.duration_ms());
        let items = self
            .read_between(
                block_partition(pair),
                sortable(from_ms),
                sortable(end_ms.saturating_sub(1)),
                range,
            )
            .await?;
        let mut candles: BTreeMap<i64, Candle> = BTreeMap::new();
        for item in &items {
            let stored = block_of(item, pair).map_err(|error| error.at(range::READ))?;
            for candle in stored.block.candles().filter(|it| it.interval <= interval) {
                let part = Candle {
                    interval,
                    start_ms: interval.start_of(candle.start_ms),
                    ..candle.clone()
                };
                match candles.get_mut(&part.start_ms) {
                    Some(held) => held.merge(&part),
                    None => drop(candles.insert(part.start_ms, part)),
                }
            }
        }
        candles.retain(|start_ms, _| (range.from_ms..range.to_ms).contains(start_ms));
        let left_out = candles.len().saturating_sub(range.limit);
        Ok(candles.into_values().skip(left_out).collect())
    }

    /// Anomalies of all pairs in a range of event time, newest first.
    ///
    /// # Errors
    /// As [`CandleTable::candles`].
    pub async fn anomalies(&self, range: ReadRange) -> Result<Vec<Anomaly>, PortError> {
        let items = self.read_days(range, anomaly_partition).await?;
        Ok(anomalies_of(&items))
    }
}

/// An item by its key.
fn take<'a>(found: &'a Found, key: &Item) -> Option<&'a Item> {
    let part = |name| text_of(key, name).ok().map(str::to_owned);
    found.get(&(part(PK)?, part(SK)?))
}

#[async_trait]
impl Blocks for CandleTable {
    async fn newest(&self, pairs: &[Pair]) -> Result<Vec<Vec<StoredBlock>>, PortError> {
        let deadline = Instant::now() + self.timeout;
        let newest = async |pair: &Pair| -> Result<Vec<StoredBlock>, PortError> {
            let items = self.newest_items(pair, deadline).await?;
            let mut blocks = self.with_members(items, pair, deadline).await?;
            if let Some(newest_ms) = blocks.first().map(|it| it.block.start_ms()) {
                blocks.retain(|it| it.block.start_ms() > newest_ms - MS_PER_HOUR);
            }
            Ok(blocks)
        };
        stream::iter(pairs.iter().map(newest))
            .buffered(CALLS_AT_ONCE_MAX)
            .try_collect()
            .await
    }

    async fn blocks(&self, keys: &[(Pair, i64)]) -> Result<Vec<Option<StoredBlock>>, PortError> {
        let deadline = Instant::now() + self.timeout;
        let mut seen = HashSet::new();
        let different = keys.iter().filter(|key| seen.insert(*key));
        let wanted = different
            .map(|(pair, start_ms)| block_key(pair, *start_ms))
            .collect();
        let found = read_all(&self.client, &self.table, LOAD, wanted, deadline).await?;
        let block =
            async |(pair, start_ms): &(Pair, i64)| -> Result<Option<StoredBlock>, PortError> {
                let item = take(&found, &block_key(pair, *start_ms)).cloned();
                let read = self
                    .with_members(item.into_iter().collect(), pair, deadline)
                    .await?;
                Ok(read.into_iter().next())
            };
        stream::iter(keys.iter().map(block))
            .buffered(CALLS_AT_ONCE_MAX)
            .try_collect()
            .await
    }

    async fn put(&self, blocks: &[StoredBlock]) -> Vec<Result<(), PortError>> {
        let deadline = Instant::now() + self.timeout;
        let mut puts = Vec::with_capacity(blocks.len());
        for stored in blocks {
            puts.push(self.put_block(stored, deadline));
        }
        stream::iter(puts)
            .buffered(CALLS_AT_ONCE_MAX)
            .collect()
            .await
    }

    async fn put_anomalies(&self, anomalies: &[Anomaly]) -> Result<(), PortError> {
        let deadline = Instant::now() + self.timeout;
        let now_ms = self.clock.now_ms();
        let mut writes = Vec::with_capacity(anomalies.len());
        for anomaly in anomalies {
            let item = anomaly_item(anomaly, now_ms, self.retention_days);
            writes.push(item.map_err(|error| error.at(STORE))?);
        }
        self.writer.write_all(STORE, writes, deadline).await?;
        let mut days = BTreeMap::new();
        for anomaly in anomalies {
            let item = day_item(anomaly.timestamp_ms, now_ms, self.retention_days);
            let item = item.map_err(|error| error.at(STORE))?;
            days.insert(text_of(&item, SK).unwrap_or_default().to_owned(), item);
        }
        let days = days.into_values().collect();
        self.writer.write_all(STORE, days, deadline).await
    }
}
