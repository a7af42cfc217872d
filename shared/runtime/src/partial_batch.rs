//! What a handler answers to a batch: nothing failed, a part failed, or nothing progressed.
//!
//! - **Nothing progressed**: an error, so that Lambda counts the invocation in `Errors`, invokes a
//!   function with messages of a queue less often for a while, and halves a batch of a stream.
//!   To a response, however many items it names, Lambda does none of that.
//! - **A part failed**: for a queue, the response lists every failed message; for a stream, it lists
//!   the first failed record, and Lambda retries from that record on. Such a response counts as a
//!   success, so [`BatchResponse::failed_items`] is for a metric.
//!
//! The event source mapping must have `ReportBatchItemFailures` set. Without it, Lambda considers a
//! batch of which a part failed done.

use std::collections::BTreeSet;
use std::error::Error;

use aws_lambda_events::event::sqs::SqsEvent;
use serde::Serialize;

use crate::causes;
use crate::kinesis_event::KinesisEvent;

/// Why items failed.
pub type Cause = Box<dyn Error + Send + Sync>;

/// The response to a batch: what Lambda must deliver again. Queues and streams use the same JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// What failed; empty if nothing did.
    pub batch_item_failures: Vec<ItemFailure>,
    /// How many items Lambda delivers again.
    #[serde(skip)]
    pub failed_items: u64,
}

/// One item that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFailure {
    /// A message's id, or a record's sequence number.
    pub item_identifier: String,
}

/// Nothing of a batch progressed: Lambda delivers all of it again.
#[derive(Debug, thiserror::Error)]
#[error("a batch of {batch} failed and will be delivered again")]
pub struct BatchError {
    /// Such as `4 messages`.
    batch: String,
    #[source]
    cause: Cause,
}

/// Messages that failed.
#[derive(Debug)]
pub struct FailedMessages {
    /// Their positions; at least one.
    pub positions: BTreeSet<usize>,
    /// Why, or why the first of them did.
    pub cause: Cause,
}

/// The first record that failed.
#[derive(Debug)]
pub struct FailedRecord {
    /// Its position. The records before it are done.
    pub position: usize,
    /// Why.
    pub cause: Cause,
}

/// A record of a stream as the handler sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its sequence number, as the service writes it.
    pub sequence: String,
    /// Its data, decoded.
    pub data: Vec<u8>,
}

/// The records of one shard, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardBatch {
    /// The shard's id such as `shardId-000000000003`; empty if the event names none.
    pub shard: String,
    /// The records.
    pub records: Vec<Record>,
}

/// Passes the bodies of a queue's messages to a handler, which returns those that must be retried.
/// The service deletes the other messages.
///
/// # Errors
/// [`BatchError`] if every message failed, or one that cannot be named.
pub async fn sqs<H>(event: SqsEvent, handle: H) -> Result<BatchResponse, BatchError>
where
    H: AsyncFnOnce(&[String]) -> Result<(), FailedMessages>,
{
    let (ids, bodies): (Vec<_>, Vec<_>) = event
        .records
        .into_iter()
        .map(|message| (message.message_id, message.body.unwrap_or_default()))
        .unzip();
    let Err(FailedMessages { positions, cause }) = handle(&bodies).await else {
        return Ok(BatchResponse::default());
    };
    let (items, batch) = (ids.len(), format!("{} messages", ids.len()));
    let of_failed = |(at, id): (usize, Option<String>)| positions.contains(&at).then_some(id);
    let named: Option<Vec<String>> = ids.into_iter().enumerate().filter_map(of_failed).collect();
    match named {
        Some(named) if !named.is_empty() && named.len() < items => {
            Ok(partial(named, positions.len(), &batch, &cause))
        }
        _ => Err(BatchError { batch, cause }),
    }
}

/// Passes the records of a shard to a handler, which returns the first one that must be retried. The
/// service then delivers that record and all later ones again, so whatever the handler did with them
/// must be safe to repeat.
///
/// # Errors
/// [`BatchError`] if the first record failed. A response that names it would make Lambda deliver
/// the whole batch again and again.
pub async fn kinesis<H>(event: KinesisEvent, handle: H) -> Result<BatchResponse, BatchError>
where
    H: AsyncFnOnce(&ShardBatch) -> Result<(), FailedRecord>,
{
    let shard = event
        .records
        .first()
        .and_then(|record| record.event_id.split(':').next())
        .unwrap_or_default()
        .to_owned();
    let records = event.records.into_iter().map(|record| Record {
        sequence: record.kinesis.sequence_number,
        data: record.kinesis.data,
    });
    let batch = ShardBatch {
        shard,
        records: records.collect(),
    };
    let Err(FailedRecord { position, cause }) = handle(&batch).await else {
        return Ok(BatchResponse::default());
    };
    let ShardBatch { shard, records } = batch;
    let batch = format!("{} records of {shard}", records.len());
    match records.get(position) {
        Some(record) if position > 0 => {
            let named = vec![record.sequence.clone()];
            Ok(partial(named, records.len() - position, &batch, &cause))
        }
        // A position past the end names no record.
        _ => Err(BatchError { batch, cause }),
    }
}

/// The response that names these items. Lambda does not log it, so this does.
fn partial(named: Vec<String>, failed: usize, batch: &str, cause: &Cause) -> BatchResponse {
    let error = causes::joined(cause.as_ref());
    tracing::error!(
        error,
        failed,
        batch,
        "a part of a batch failed and will be delivered again"
    );
    let failures = named.into_iter();
    BatchResponse {
        batch_item_failures: failures
            .map(|item_identifier| ItemFailure { item_identifier })
            .collect(),
        failed_items: failed as u64,
    }
}

#[cfg(test)]
mod tests;
