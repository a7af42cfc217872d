//! Partial batch responses for the two event sources that support them: for a queue, the response
//! lists every failed message; for a stream, it lists the first failed record, and Lambda retries
//! from that record on.
//!
//! Both event source mappings must have `ReportBatchItemFailures` set. Without it, Lambda considers
//! a batch with failures done.

use std::collections::BTreeSet;

use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_lambda_events::event::sqs::SqsEvent;
use serde::Serialize;

/// The response to a batch: what Lambda must deliver again. Queues and streams use the same JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// What failed; empty if nothing did.
    pub batch_item_failures: Vec<ItemFailure>,
}

/// One item that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFailure {
    /// A message's id, or a record's sequence number. An empty one fails the whole batch, as
    /// a message without an id requires.
    pub item_identifier: String,
}

impl BatchResponse {
    fn of(identifiers: impl IntoIterator<Item = String>) -> Self {
        let failed = |item_identifier| ItemFailure { item_identifier };
        Self {
            batch_item_failures: identifiers.into_iter().map(failed).collect(),
        }
    }
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

/// Passes the bodies of a queue's messages to a handler, which returns the positions that must be
/// retried. The service deletes the other messages.
pub async fn sqs<H>(event: SqsEvent, handle: H) -> BatchResponse
where
    H: AsyncFnOnce(&[String]) -> BTreeSet<usize>,
{
    let (ids, bodies): (Vec<_>, Vec<_>) = event
        .records
        .into_iter()
        .map(|message| {
            let (id, body) = (message.message_id, message.body);
            (id.unwrap_or_default(), body.unwrap_or_default())
        })
        .unzip();
    let failed = handle(&bodies).await;
    let of_failed = |(at, id): (usize, String)| failed.contains(&at).then_some(id);
    BatchResponse::of(ids.into_iter().enumerate().filter_map(of_failed))
}

/// Passes the records of a shard to a handler, which returns the first position that must be
/// retried. The service then delivers that record and all later ones again, so whatever the handler
/// did with them must be safe to repeat.
pub async fn kinesis<H>(event: KinesisEvent, handle: H) -> BatchResponse
where
    H: AsyncFnOnce(&ShardBatch) -> Option<usize>,
{
    let shard = event
        .records
        .first()
        .and_then(|record| record.event_id.as_deref())
        .and_then(|id| id.split(':').next())
        .unwrap_or_default()
        .to_owned();
    let records = event.records.into_iter().map(|record| Record {
        sequence: record.kinesis.sequence_number,
        data: record.kinesis.data.0,
    });
    let batch = ShardBatch {
        shard,
        records: records.collect(),
    };
    let failed = handle(&batch)
        .await
        // A position past the end would name no record, and the failure would be lost.
        .map(|at| at.min(batch.records.len().saturating_sub(1)))
        .and_then(|at| batch.records.get(at))
        .map(|record| record.sequence.clone());
    BatchResponse::of(failed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn messages() -> SqsEvent {
        let message = |id: &str, body: &str| json!({"messageId": id, "body": body});
        serde_json::from_value(json!({"Records": [
            message("m-1", "a"), message("m-2", "b"), message("m-3", "c"), {"body": "d"},
        ]}))
        .unwrap()
    }

    #[tokio::test]
    async fn every_failed_message_is_reported_to_a_queue() {
        let response = sqs(messages(), async |bodies: &[String]| {
            assert_eq!(bodies, ["a", "b", "c", "d"]);
            BTreeSet::from([0, 2])
        })
        .await;
        assert_eq!(
            serde_json::to_value(response).unwrap(),
            json!({"batchItemFailures": [{"itemIdentifier": "m-1"}, {"itemIdentifier": "m-3"}]})
        );
    }

    #[tokio::test]
    async fn a_failed_message_without_an_id_fails_the_whole_batch() {
        let response = sqs(messages(), async |_: &[String]| BTreeSet::from([3])).await;
        assert_eq!(
            response.batch_item_failures,
            [ItemFailure {
                item_identifier: String::new()
            }]
        );
    }

    #[tokio::test]
    async fn a_batch_that_was_done_is_answered_with_an_empty_list() {
        let response = sqs(messages(), async |_: &[String]| BTreeSet::new()).await;
        assert_eq!(
            serde_json::to_value(response).unwrap(),
            json!({"batchItemFailures": []})
        );
    }

    fn records() -> KinesisEvent {
        let record = |sequence: &str, data: &str| {
            json!({
                "eventID": format!("shardId-000000000003:{sequence}"),
                "kinesis": {
                    "sequenceNumber": sequence, "data": data, "partitionKey": "SOL",
                    "approximateArrivalTimestamp": 1_767_225_600.5,
                },
            })
        };
        serde_json::from_value(json!({"Records": [record("101", "aGk="), record("102", "")]}))
            .unwrap()
    }

    #[track_caller]
    fn check(response: &BatchResponse, expected: &[&str]) {
        let found: Vec<_> = response
            .batch_item_failures
            .iter()
            .map(|failure| failure.item_identifier.as_str())
            .collect();
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn the_first_failed_record_is_reported_to_a_stream() {
        let response = kinesis(records(), async |batch: &ShardBatch| {
            assert_eq!(batch.shard, "shardId-000000000003");
            assert_eq!(batch.records[0].data, b"hi");
            assert_eq!(batch.records[1].data, b"");
            Some(1)
        })
        .await;
        check(&response, &["102"]);
        check(&kinesis(records(), async |_: &ShardBatch| None).await, &[]);
        let past_the_end = kinesis(records(), async |_: &ShardBatch| Some(9)).await;
        check(&past_the_end, &["102"]);
    }
}
