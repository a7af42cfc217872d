//! How far the analysis of a shard is: an item a shard in the table of the analysis, and snapshots as objects.

use std::sync::Arc;
use std::time::Duration;

use app::objects::{Condition, Objects};
use app::ports::{Clock, PortError, SequenceNumber};
use app::replay::{Checkpoints, Head, Snapshot};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::ReturnValue;
use tokio::time::Instant;

use super::attributes::{EXPIRES_AT, Item, ItemError, expires_at, key, text, text_of};
use super::batch_write::without_retries;
use super::reads::read_all;
use crate::error::CallError;
use crate::retry::{Backoff, within};

/// The prefix of snapshots in the archive's bucket.
pub const SNAPSHOT_PREFIX: &str = "analytics-snapshots/";

/// The attribute with the last record that was committed, padded.
const LAST: &str = "last";
/// The attributes with the positions of the newest snapshot and of the one before it, padded.
const NEWEST: &str = "newest_snapshot";
const BEFORE: &str = "snapshot_before";

const READ: &str = "read how far a shard is analysed";
const COMMIT: &str = "commit the analysis of a batch";
const SAVE: &str = "save a snapshot of the analysis";

/// Heads in a DynamoDB table, and snapshots as objects.
#[derive(Clone)]
pub struct ShardCheckpoints {
    client: Client,
    table: String,
    snapshots: Arc<dyn Objects>,
    retention_days: u32,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl ShardCheckpoints {
    /// Heads in a table, whose items expire `retention_days` after the last batch of their shard, and snapshots among
    /// objects of their own, see [`SNAPSHOT_PREFIX`].
    #[must_use]
    pub fn new(
        (client, table): (&Client, impl Into<String>),
        snapshots: Arc<dyn Objects>,
        retention_days: u32,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            client: without_retries(client),
            table: table.into(),
            snapshots,
            retention_days,
            timeout,
            clock,
        }
    }

    fn update(&self, shard: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(head_key(shard)))
            .expression_attribute_names("#newest", NEWEST)
    }

    /// Sends an update. `None` if its condition does not hold.
    async fn send(
        &self,
        operation: &'static str,
        update: UpdateItemFluentBuilder,
    ) -> Result<Option<UpdateItemOutput>, PortError> {
        let deadline = Instant::now() + self.timeout;
        let mut backoff = Backoff::until(deadline);
        loop {
            let error = match within(deadline, update.clone().send()).await {
                Some(Ok(output)) => return Ok(Some(output)),
                Some(Err(error)) => {
                    let refused = error.as_service_error();
                    if refused.is_some_and(UpdateItemError::is_conditional_check_failed_exception) {
                        return Ok(None);
                    }
                    CallError::of(&error)
                }
                None => CallError::Unanswered("the update timed out".to_owned()),
            };
            if !error.is_transient() || !backoff.wait().await {
                return Err(error.at(operation));
            }
        }
    }

    async fn delete_snapshot(&self, shard: &str, padded: &str) {
        let name = snapshot_name(shard, padded);
        if let Err(error) = self.snapshots.delete(&[name]).await {
            // The bucket's lifecycle removes it later.
            tracing::warn!(shard, cause = %error.source, "an old snapshot was not deleted");
        }
    }
}

fn head_key(shard: &str) -> Item {
    key(format!("shard#{shard}"), "head")
}

fn snapshot_name(shard: &str, padded: &str) -> String {
    format!("{shard}/{padded}")
}

fn sequence(item: &Item, name: &'static str) -> Result<Option<SequenceNumber>, ItemError> {
    if !item.contains_key(name) {
        return Ok(None);
    }
    let unreadable = |error: app::ports::SequenceNumberError| ItemError::Unreadable {
        name,
        cause: error.to_string(),
    };
    text_of(item, name)?.parse().map(Some).map_err(unreadable)
}

fn head_of(shard: &str, item: &Item) -> Result<Head, ItemError> {
    let mut snapshots: Vec<Snapshot> = Vec::new();
    for name in [NEWEST, BEFORE] {
        if let Some(position) = sequence(item, name)?
            && snapshots.iter().all(|it| it.position != position)
        {
            let name = snapshot_name(shard, &position.padded());
            snapshots.push(Snapshot { position, name });
        }
    }
    Ok(Head {
        last: sequence(item, LAST)?.ok_or(ItemError::Attribute(LAST))?,
        snapshots,
    })
}

#[async_trait]
impl Checkpoints for ShardCheckpoints {
    async fn head(&self, shard: &str) -> Result<Option<Head>, PortError> {
        let deadline = Instant::now() + self.timeout;
        let found = read_all(
            &self.client,
            &self.table,
            READ,
            vec![head_key(shard)],
            deadline,
        )
        .await?;
        found
            .values()
            .next()
            .map(|item| head_of(shard, item).map_err(|error| error.at(READ)))
            .transpose()
    }

    async fn advance(
        &self,
        shard: &str,
        base: Option<SequenceNumber>,
        to: SequenceNumber,
    ) -> Result<bool, PortError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(head_key(shard)))
            .update_expression("SET #last = :to, #expires = :expires")
            .expression_attribute_names("#last", LAST)
            .expression_attribute_names("#expires", EXPIRES_AT)
            .expression_attribute_values(":to", text(to.padded()))
            .expression_attribute_values(
                ":expires",
                expires_at(self.clock.now_ms(), self.retention_days),
            );
        let update = match base {
            None => update.condition_expression("attribute_not_exists(#last)"),
            Some(base) => update
                .condition_expression("#last = :base")
                .expression_attribute_values(":base", text(base.padded())),
        };
        Ok(self.send(COMMIT, update).await?.is_some())
    }

    async fn forget(&self, shard: &str, name: &str) -> Result<(), PortError> {
        let Some(head) = self.head(shard).await? else {
            return Ok(());
        };
        let Some(newest) = head.snapshots.first() else {
            return Ok(());
        };
        let left = head.snapshots.iter().find(|it| it.name != name);
        let update = self
            .update(shard)
            .condition_expression("#newest = :seen")
            .expression_attribute_names("#before", BEFORE)
            .expression_attribute_values(":seen", text(newest.position.padded()));
        let update = match left {
            Some(left) => update
                .update_expression("SET #newest = :left REMOVE #before")
                .expression_attribute_values(":left", text(left.position.padded())),
            None => update.update_expression("REMOVE #newest, #before"),
        };
        self.send(SAVE, update).await?;
        Ok(())
    }

    async fn load(&self, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        let found = self.snapshots.read(name).await?;
        Ok(found.map(|(bytes, _)| bytes))
    }

    async fn save(
        &self,
        shard: &str,
        position: SequenceNumber,
        bytes: Vec<u8>,
    ) -> Result<(), PortError> {
        let padded = position.padded();
        // Another process may have saved one of the same position, with more of its candles still to be stored.
        self.snapshots
            .replace(&snapshot_name(shard, &padded), bytes, Condition::Always)
            .await?;
        let update = self
            .update(shard)
            .update_expression("SET #before = if_not_exists(#newest, :position), #newest = :position")
            .condition_expression("attribute_exists(#last) AND (attribute_not_exists(#newest) OR #newest < :position)")
            .expression_attribute_names("#last", LAST)
            .expression_attribute_names("#before", BEFORE)
            .expression_attribute_values(":position", text(&padded))
            .return_values(ReturnValue::AllOld);
        let Some(output) = self.send(SAVE, update).await? else {
            // The head names this one already, or a later one.
            return Ok(());
        };
        let old = output.attributes.unwrap_or_default();
        if let (Ok(before), newest) = (text_of(&old, BEFORE), text_of(&old, NEWEST).ok())
            && before != padded
            && newest != Some(before)
        {
            self.delete_snapshot(shard, before).await;
        }
        Ok(())
    }
}
