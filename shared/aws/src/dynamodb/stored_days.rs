//! Which partitions of ticks exist: a small list, by the day of receipt, so that the ticks of a range of receipt times
//! are found without a scan. The key of a tick's partition is its token and the day of its event time, and neither
//! follows from when it was received.
//!
//! An entry is written before the first tick of its partition, so a partition that is not listed has no tick of that
//! day of receipt. Each process looks for each entry once, and writes it if it is not there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use app::ports::{CohortTick, PortError, PutReceipt, TickStore};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use tokio::time::Instant;
use twox_hash::XxHash64;

use super::attributes::{
    EXPIRES_AT, Item, ItemError, PK, SK, day_of, expires_at, key, text, text_of,
};
use super::batch_write::{BatchWriter, without_retries};
use super::reads::{Consistency, KEYS_PER_CALL_MAX, read_once};
use super::tick_item::partition;
use crate::error::port_error;
use crate::retry::within;

/// The partitions of a day's list. At midnight all tokens begin a new day at once, and a partition of DynamoDB accepts
/// 1,000 writes a second.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>
const LIST_PARTITIONS: u64 = 8;

/// The most entries that a process remembers, about 20 MB. One that was forgotten is written again.
const ENTRIES_KNOWN_MAX: usize = 100_000;

/// The operation's name in errors.
const LIST: &str = "list the days of ticks";

/// An entry: the day of receipt, and the partition of ticks.
type Entry = (String, String);

/// How long writing to the list may take. Then the sender is asked to deliver again: nothing is stored yet.
const LIST_WITHIN: Duration = Duration::from_secs(1);

/// A store whose partitions are listed before ticks are stored in them.
pub struct ListedTicks {
    store: Arc<dyn TickStore>,
    client: Client,
    table: String,
    writer: BatchWriter,
    retention_days: u32,
    known: Mutex<HashSet<Entry>>,
}

impl ListedTicks {
    /// Lists the partitions of a store of ticks in its table, as long as it keeps the ticks.
    #[must_use]
    pub fn new(
        store: Arc<dyn TickStore>,
        client: &Client,
        table: String,
        retention_days: u32,
    ) -> Self {
        Self {
            store,
            client: without_retries(client),
            writer: BatchWriter::new(client, table.clone(), [PK, SK]),
            table,
            retention_days,
            known: Mutex::default(),
        }
    }

    /// Makes sure that the partitions of these ticks are listed.
    async fn list(&self, ticks: &[CohortTick]) -> Result<(), PortError> {
        let mut new: HashMap<Entry, i64> = HashMap::new();
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for CohortTick { tick, .. } in ticks {
                // A tick without a key is refused when it is stored.
                if let Ok(entry) = entry(tick)
                    && !known.contains(&entry)
                {
                    new.insert(entry, tick.ingested_at_ms);
                }
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + LIST_WITHIN;
        let listed = self.listed_by_others(new.keys(), deadline).await;
        let items = new.iter().filter(|(entry, _)| !listed.contains(*entry));
        let items: Vec<Item> = items
            .map(|(entry, received_ms)| item(entry, *received_ms, self.retention_days))
            .collect();
        if !items.is_empty() {
            self.writer.write_all(LIST, items, deadline).await?;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + new.len() > ENTRIES_KNOWN_MAX {
            known.clear();
        }
        known.extend(new.into_keys());
        Ok(())
    }
}

impl ListedTicks {
    /// The entries that another process has written: a read costs a tenth of a write. What could not be read is written
    /// again.
    async fn listed_by_others(
        &self,
        entries: impl Iterator<Item = &Entry>,
        deadline: Instant,
    ) -> HashSet<Entry> {
        let keys: Vec<Item> = entries.map(list_key).collect();
        let mut found = HashSet::new();
        for keys in keys.chunks(KEYS_PER_CALL_MAX) {
            let call = read_once(
                &self.client,
                &self.table,
                keys.to_vec(),
                Consistency::Eventual,
            );
            let Some(Ok((items, _))) = within(deadline, call).await else {
                return found;
            };
            found.extend(items.iter().filter_map(entry_of));
        }
        found
    }
}

/// The entry of an item.
fn entry_of(item: &Item) -> Option<Entry> {
    let list = text_of(item, PK).ok()?;
    let day = list.strip_prefix("days#")?.split('#').next()?;
    Some((day.to_owned(), text_of(item, SK).ok()?.to_owned()))
}

fn list_key((day, partition): &Entry) -> Item {
    let number = XxHash64::oneshot(0, partition.as_bytes()) % LIST_PARTITIONS;
    key(list_partition(day, number), partition.as_str())
}

#[async_trait]
impl TickStore for ListedTicks {
    async fn put(&self, ticks: &[CohortTick]) -> Result<PutReceipt, PortError> {
        self.list(ticks).await?;
        self.store.put(ticks).await
    }
}

fn entry(tick: &domain::Tick) -> Result<Entry, ItemError> {
    let day = day_of(tick.ingested_at_ms)?;
    Ok((day, partition(&tick.token, tick.timestamp_ms)?))
}

fn item(entry: &Entry, received_ms: i64, retention_days: u32) -> Item {
    let mut item = list_key(entry);
    // A day longer than the ticks, of which some are received at its end.
    let days = retention_days.saturating_add(1);
    item.insert(EXPIRES_AT.to_owned(), expires_at(received_ms, days));
    item
}

fn list_partition(day: &str, number: u64) -> String {
    format!("days#{day}#{number}")
}

/// The partitions of ticks that were received on a UTC day (`YYYY-MM-DD`).
pub(super) async fn listed(
    client: &Client,
    table: &str,
    day: &str,
) -> Result<BTreeSet<String>, PortError> {
    const READ: &str = "read the list of the days of ticks";
    let mut partitions = BTreeSet::new();
    for number in 0..LIST_PARTITIONS {
        let query = client
            .query()
            .table_name(table)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":pk", text(list_partition(day, number)))
            .consistent_read(true);
        let mut pages = query.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error(READ, &error))?;
            for item in page.items() {
                let partition = text_of(item, SK).map_err(|error| error.at(READ))?;
                partitions.insert(partition.to_owned());
            }
        }
    }
    Ok(partitions)
}
