use serde_json::{Value, json};

use super::*;

fn messages() -> SqsEvent {
    let message = |id: &str, body: &str| json!({"messageId": id, "body": body});
    serde_json::from_value(json!({"Records": [
        message("m-1", "a"), message("m-2", "b"), message("m-3", "c"), {"body": "d"},
    ]}))
    .unwrap()
}

async fn of_queue(failed: &[usize]) -> Result<BatchResponse, BatchError> {
    let positions: BTreeSet<usize> = failed.iter().copied().collect();
    sqs(messages(), async |bodies: &[String]| {
        assert_eq!(bodies, ["a", "b", "c", "d"]);
        match positions.is_empty() {
            true => Ok(()),
            false => Err(FailedMessages {
                positions,
                cause: "the stream is full".into(),
            }),
        }
    })
    .await
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
    let records = [record("101", "aGk="), record("102", ""), record("103", "")];
    serde_json::from_value(json!({"Records": records})).unwrap()
}

async fn of_stream(failed: Option<usize>) -> Result<BatchResponse, BatchError> {
    kinesis(records(), async |batch: &ShardBatch| {
        assert_eq!(batch.shard, "shardId-000000000003");
        let data: Vec<&[u8]> = batch.records.iter().map(|it| it.data.as_slice()).collect();
        assert_eq!(data, [&b"hi"[..], b"", b""]);
        failed.map_or(Ok(()), |position| {
            Err(FailedRecord {
                position,
                cause: "the table is full".into(),
            })
        })
    })
    .await
}

#[track_caller]
fn names(response: Result<BatchResponse, BatchError>, failed_items: u64, named: &[&str]) {
    let response = response.unwrap();
    assert_eq!(response.failed_items, failed_items);
    let failures: Vec<Value> = named
        .iter()
        .map(|id| json!({"itemIdentifier": id}))
        .collect();
    assert_eq!(
        serde_json::to_value(response).unwrap(),
        json!({"batchItemFailures": failures})
    );
}

#[track_caller]
fn fails(response: Result<BatchResponse, BatchError>, message: &str) {
    let error = response.unwrap_err();
    assert_eq!(causes::joined(&error), message);
}

#[tokio::test]
async fn a_batch_that_was_done_is_answered_with_an_empty_list() {
    names(of_queue(&[]).await, 0, &[]);
    names(of_stream(None).await, 0, &[]);
}

#[tokio::test]
async fn every_failed_message_is_named_to_a_queue() {
    names(of_queue(&[0, 2]).await, 2, &["m-1", "m-3"]);
}

#[tokio::test]
async fn the_first_failed_record_is_named_to_a_stream_and_those_after_it_are_counted() {
    names(of_stream(Some(1)).await, 2, &["102"]);
    names(of_stream(Some(2)).await, 1, &["103"]);
}

#[tokio::test]
async fn a_batch_without_progress_is_an_error() {
    let of_four = "a batch of 4 messages failed and will be delivered again: the stream is full";
    fails(of_queue(&[0, 1, 2, 3]).await, of_four);
    let of_three = "a batch of 3 records of shardId-000000000003 failed and will be delivered again: the table is full";
    fails(of_stream(Some(0)).await, of_three);
}

#[tokio::test]
async fn a_failed_item_that_cannot_be_named_fails_the_whole_batch() {
    // Lambda reads an empty identifier, and one that is not in the batch, as a failure of all.
    let of_four = "a batch of 4 messages failed and will be delivered again: the stream is full";
    fails(of_queue(&[3]).await, of_four);
    fails(of_queue(&[1, 3]).await, of_four);
    fails(of_queue(&[9]).await, of_four);
    let of_three = "a batch of 3 records of shardId-000000000003 failed and will be delivered again: the table is full";
    fails(of_stream(Some(3)).await, of_three);
}

#[tokio::test]
async fn an_event_without_records_is_done_unless_its_handler_fails() {
    let done = kinesis(KinesisEvent::default(), async |_: &ShardBatch| Ok(())).await;
    names(done, 0, &[]);
    let failed = kinesis(KinesisEvent::default(), async |_: &ShardBatch| {
        Err(FailedRecord {
            position: 0,
            cause: "no table".into(),
        })
    })
    .await;
    assert!(failed.is_err());
}
