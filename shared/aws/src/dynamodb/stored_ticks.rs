//! Reads the ticks of a range of receipt times from the table.

use std::collections::BTreeSet;
use std::sync::Arc;

use app::ports::{Clock, PortError};
use app::read_back::{
    Page, PageSender, Pages, ReceiptRange, StoredTick, StoredTicks, UnseenPart, sent_by,
};
use app::time_text::time_text;
use app::utc_days::days;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::TableDescription;
use domain::MS_PER_DAY;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::attributes::{Item, PK, number, text, text_of};
use super::stored_days::listed;
use super::tick_item::stored_tick_of;
use crate::error::port_error;

/// The partitions that are read at once.
const PARTITIONS_AT_ONCE: usize = 8;

/// The segments of a scan.
const SCAN_SEGMENTS: i32 = 8;

/// The operation's name in errors.
const READ: &str = "read the table of ticks";

/// How the ticks of a range are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Find {
    /// In the partitions that the webhook has listed.
    Listed,
    /// By reading the whole table, whatever is listed.
    Scan,
}

/// A reader of the table of ticks. Reads are eventually consistent, which costs half: what is compared was received
/// at least half a minute ago.
#[derive(Clone)]
pub struct TickTableReader {
    client: Client,
    table: String,
    find: Find,
    retention_days: u32,
    clock: Arc<dyn Clock>,
}

impl TickTableReader {
    /// A reader of a table that keeps ticks for so many days.
    #[must_use]
    pub fn new(
        client: Client,
        table: String,
        find: Find,
        retention_days: u32,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            client,
            table,
            find,
            retention_days,
            clock,
        }
    }

    /// Since when all ticks are kept, epoch milliseconds. DynamoDB removes an item within days after it expires.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html>
    fn kept_from_ms(&self) -> i64 {
        self.clock.now_ms() - i64::from(self.retention_days) * MS_PER_DAY
    }

    /// The number of partitions that have ticks of a range, as the webhook has listed them.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn partitions(&self, range: ReceiptRange) -> Result<BTreeSet<String>, PortError> {
        let mut partitions = BTreeSet::new();
        // The list of a day expires a day after its ticks.
        let listed_from_ms = self.kept_from_ms() - MS_PER_DAY;
        for day in days(range.from_ms.max(listed_from_ms), range.to_ms) {
            let day = day.format("%Y-%m-%d").to_string();
            partitions.extend(listed(&self.client, &self.table, &day).await?);
        }
        Ok(partitions)
    }

    /// About how many ticks have to be read for a range: those of whole partitions, whose mean size is known from what
    /// DynamoDB counts about every six hours; the partitions are those that the webhook has listed.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn ticks_to_read(&self, range: ReceiptRange) -> Result<f64, PortError> {
        let described = self.client.describe_table().table_name(&self.table);
        let described = described.send().await;
        let described = described.map_err(|error| port_error("describe the table", &error))?;
        let items = described.table().and_then(TableDescription::item_count);
        let items = count(items.and_then(|items| items.try_into().ok()).unwrap_or(0));
        if self.find == Find::Scan {
            return Ok(items);
        }
        let kept = ReceiptRange {
            from_ms: self.kept_from_ms(),
            to_ms: range.to_ms,
        };
        let of_range = self.partitions(range).await?.len();
        let all = self.partitions(kept).await?.len().max(of_range).max(1);
        Ok(items * count(of_range) / count(all))
    }

    async fn send(
        &self,
        range: ReceiptRange,
        sender: &PageSender<StoredTick>,
    ) -> Result<(), PortError> {
        let kept_from_ms = self.kept_from_ms();
        if range.from_ms < kept_from_ms {
            let page = Page::Unseen(UnseenPart {
                before_ms: Some(kept_from_ms),
                what: self.expired(kept_from_ms),
            });
            if sender.send(Ok(page)).await.is_err() {
                return Ok(());
            }
        }
        match self.find {
            Find::Listed => {
                let partitions = self.partitions(range).await?;
                let reads = partitions
                    .into_iter()
                    .map(|partition| self.send_partition(partition, range, sender));
                let mut reads = stream::iter(reads).buffer_unordered(PARTITIONS_AT_ONCE);
                while reads.try_next().await?.is_some() {}
            }
            Find::Scan => {
                let scans =
                    (0..SCAN_SEGMENTS).map(|segment| self.send_segment(segment, range, sender));
                futures_util::future::try_join_all(scans).await?;
            }
        }
        Ok(())
    }

    fn expired(&self, kept_from_ms: i64) -> String {
        format!(
            "the table {} keeps ticks for {} days (--retention-days), so those received before {} may have been removed",
            self.table,
            self.retention_days,
            time_text(kept_from_ms)
        )
    }

    async fn send_partition(
        &self,
        partition: String,
        range: ReceiptRange,
        sender: &PageSender<StoredTick>,
    ) -> Result<(), PortError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk")
            .filter_expression("#received >= :from AND #received < :to")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#received", RECEIVED)
            .expression_attribute_values(":pk", text(partition))
            .expression_attribute_values(":from", number(range.from_ms))
            .expression_attribute_values(":to", number(range.to_ms));
        let mut pages = query.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error(READ, &error))?;
            if !send_items(page.items(), sender).await {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn send_segment(
        &self,
        segment: i32,
        range: ReceiptRange,
        sender: &PageSender<StoredTick>,
    ) -> Result<(), PortError> {
        let scan = self
            .client
            .scan()
            .table_name(&self.table)
            .segment(segment)
            .total_segments(SCAN_SEGMENTS)
            .filter_expression("#received >= :from AND #received < :to")
            .expression_attribute_names("#received", RECEIVED)
            .expression_attribute_values(":from", number(range.from_ms))
            .expression_attribute_values(":to", number(range.to_ms));
        let mut pages = scan.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error(READ, &error))?;
            if !send_items(page.items(), sender).await {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}

/// The attribute with the time of receipt, which only ticks have.
const RECEIVED: &str = "ingested_at";

impl StoredTicks for TickTableReader {
    fn stored(&self, range: ReceiptRange) -> Pages<'_, StoredTick> {
        let reader = self.clone();
        sent_by(|sender| async move { reader.send(range, &sender).await })
    }
}

/// Sends the ticks of a page; returns whether more are wanted.
async fn send_items(items: &[Item], sender: &PageSender<StoredTick>) -> bool {
    let mut ticks = Vec::with_capacity(items.len());
    let mut unreadable = None;
    for item in items {
        match stored_tick_of(item) {
            Ok(stored) => ticks.push(StoredTick {
                tick: stored.tick,
                in_cohort: stored.in_cohort,
            }),
            Err(error) => {
                let key = text_of(item, PK).unwrap_or("without a key");
                unreadable = Some(format!("an item of {key} cannot be read: {error}"));
            }
        }
    }
    if let Some(what) = unreadable {
        let page = Page::Unseen(UnseenPart {
            before_ms: None,
            what,
        });
        if sender.send(Ok(page)).await.is_err() {
            return false;
        }
    }
    sender.send(Ok(Page::Ticks(ticks))).await.is_ok()
}
