//! What the function is invoked with: records of a shard, or the schedule's `{"settle": true}`.

use app::ports::PortError;
use runtime::kinesis_event::{KinesisEvent, KinesisEventRecord};
use runtime::partial_batch::{BatchError, BatchResponse};
use serde::Deserialize;

use crate::handler::Analytics;

/// An event of the function.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// Records of one shard.
    #[serde(rename = "Records", default)]
    records: Vec<KinesisEventRecord>,
    /// Whether what is due is stored in all shards, whether or not they have new records.
    #[serde(default)]
    settle: bool,
}

impl Event {
    /// Whether it is the schedule's.
    #[must_use]
    pub fn settles(&self) -> bool {
        self.settle
    }
}

/// The invocation failed.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// A batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// What is due was not stored in all shards; the next schedule does it.
    #[error(transparent)]
    Settle(#[from] PortError),
}

/// Handles an event.
///
/// # Errors
/// [`InvocationError`] if it must be delivered again.
pub async fn handle(analytics: &Analytics, event: Event) -> Result<BatchResponse, InvocationError> {
    if event.settles() {
        analytics.settle().await?;
        return Ok(BatchResponse::default());
    }
    let records = event.records;
    Ok(analytics.handle(KinesisEvent { records }).await?)
}
