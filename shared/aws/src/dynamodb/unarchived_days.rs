//! The days whose anomalies the archive may lack: an item for each in the table of the analysis.

use app::ports::PortError;
use app::unarchived_anomalies::{UnarchivedAnomalies, UnarchivedDay};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use domain::analytics::Anomaly;

use super::anomaly_item::{anomalies_of, partition_of_day};
use super::attributes::{
    EXPIRES_AT, Item, ItemError, PK, SK, day_of, expires_at, key, text, text_of,
};
use crate::error::port_error;

/// The partition key of the days.
const PARTITION: &str = "anomalies-to-archive";

/// The attribute that each write changes.
const VERSION: &str = "version";

const LIST: &str = "list days with new anomalies";
const READ: &str = "read the anomalies of a day";
const RECORD: &str = "record that anomalies are archived";

/// The item that lists the day of a moment. It must be written after the anomalies of the day: a reader that finds it
/// then finds them, too.
pub(super) fn day_item(timestamp_ms: i64, now_ms: i64, days: u32) -> Result<Item, ItemError> {
    let mut item = key(PARTITION, day_of(timestamp_ms)?);
    // Two writes of one millisecond must differ: what the first one lists must not be taken for all of the second.
    let version = format!("{now_ms}-{:016x}", fastrand::u64(..));
    item.insert(VERSION.to_owned(), text(version));
    item.insert(EXPIRES_AT.to_owned(), expires_at(now_ms, days));
    Ok(item)
}

/// The days in the table of the analysis.
#[derive(Debug, Clone)]
pub struct UnarchivedDays {
    client: Client,
    table: String,
}

impl UnarchivedDays {
    /// The days of a table.
    #[must_use]
    pub fn new(client: &Client, table: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            table: table.into(),
        }
    }

    /// All items of a partition as of the last write, in order.
    async fn items(
        &self,
        operation: &'static str,
        partition: &str,
    ) -> Result<Vec<Item>, PortError> {
        let (mut items, mut after) = (Vec::new(), None);
        loop {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("#pk = :pk")
                .expression_attribute_names("#pk", PK)
                .expression_attribute_values(":pk", text(partition))
                .consistent_read(true)
                .set_exclusive_start_key(after)
                .send()
                .await
                .map_err(|error| port_error(operation, &error))?;
            items.extend(answer.items.unwrap_or_default());
            match answer.last_evaluated_key {
                Some(key) if !key.is_empty() => after = Some(key),
                _ => return Ok(items),
            }
        }
    }
}

#[async_trait]
impl UnarchivedAnomalies for UnarchivedDays {
    async fn days(&self) -> Result<Vec<UnarchivedDay>, PortError> {
        let day = |item: &Item| {
            Ok(UnarchivedDay {
                day: text_of(item, SK)?.to_owned(),
                version: text_of(item, VERSION)?.to_owned(),
            })
        };
        let items = self.items(LIST, PARTITION).await?;
        let days: Result<_, ItemError> = items.iter().map(day).collect();
        days.map_err(|error| error.at(LIST))
    }

    async fn of_day(&self, day: &str) -> Result<Vec<Anomaly>, PortError> {
        let items = self.items(READ, &partition_of_day(day)).await?;
        Ok(anomalies_of(&items))
    }

    async fn archived(&self, day: &UnarchivedDay) -> Result<(), PortError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(PARTITION, &day.day)))
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", text(&day.version));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|it| it.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(port_error(RECORD, &error)),
        }
    }
}
