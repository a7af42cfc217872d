//! Queues of dead letters, and the part of a shard that a batch that was given up points to.

use std::time::Duration;

use app::requeue::{DeadLetter, DeadLetters as _, LetterDestination as _};
use app::requeue_batches::ShardRange as _;
use aws::kinesis::shard_log::KinesisLog;
use aws::sqs::dead_letters::{SourceQueue, SqsDeadLetters, queue_url};
use aws_client::scripted_http::{Answer, Call, Wire};
use aws_sdk_sqs::Client;
use aws_smithy_types::base64;
use serde_json::{Value, json};

const URL: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/tickstream-redrive-dlq";

fn letters(count: usize) -> Vec<DeadLetter> {
    let letter = |n: usize| DeadLetter {
        id: format!("m{n}"),
        receipt: format!("r{n}"),
        body: format!("b{n}"),
        sent_at_ms: 0,
    };
    (0..count).map(letter).collect()
}

fn ids(call: &Call) -> Vec<Value> {
    let entries = call.body["Entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| json!({"Id": entry["Id"]}))
        .collect()
}

#[tokio::test]
async fn letters_are_received_with_their_time_and_hidden() {
    let wire = Wire::new(|_, call| match call.operation.as_str() {
        "GetQueueUrl" => Answer::Good(json!({"QueueUrl": URL})),
        "GetQueueAttributes" => {
            Answer::Good(json!({"Attributes": {"ApproximateNumberOfMessages": "12"}}))
        }
        _ => Answer::Good(json!({"Messages": [{
            "MessageId": "m", "ReceiptHandle": "r", "Body": "b", "MD5OfBody": "92eb5ffee6ae2fec3ad71c777531578f",
            "Attributes": {"SentTimestamp": "1767225600000"},
        }]})),
    });
    let client = Client::new(&wire.config());
    let url = queue_url(&client, "tickstream-redrive-dlq").await.unwrap();
    let queue = SqsDeadLetters::new(&client, url);
    assert_eq!(queue.count().await.unwrap(), 12);
    let received = queue.receive().await.unwrap();
    let expected = DeadLetter {
        id: "m".to_owned(),
        receipt: "r".to_owned(),
        body: "b".to_owned(),
        sent_at_ms: 1_767_225_600_000,
    };
    assert_eq!(received, [expected]);
    let asked = wire.calls().pop().unwrap().body;
    assert_eq!(
        (&asked["QueueUrl"], &asked["MaxNumberOfMessages"]),
        (&json!(URL), &json!(10))
    );
    assert_eq!(asked["VisibilityTimeout"], 900);
}

#[tokio::test]
async fn batches_have_at_most_ten_and_a_failure_within_one_is_an_error() {
    let wire = Wire::new(|number, call| {
        let mut done = ids(call);
        let failed = if number == 3 {
            done.split_off(1)
        } else {
            Vec::new()
        };
        let failure = |id: Value| json!({"Id": id["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": true});
        let failed: Vec<_> = failed.into_iter().map(failure).collect();
        Answer::Good(json!({"Successful": done, "Failed": failed}))
    });
    let queue = SqsDeadLetters::new(&Client::new(&wire.config()), URL);
    queue.delete(&letters(12)).await.unwrap();
    queue.release(&letters(2)).await.unwrap();
    let error = queue.delete(&letters(2)).await.unwrap_err();
    assert!(
        error.source.to_string().contains("ReceiptHandleIsInvalid"),
        "{}",
        error.source
    );
    assert!(!error.retryable);
    let calls = wire.calls();
    let sizes: Vec<_> = calls.iter().map(|call| ids(call).len()).collect();
    assert_eq!(sizes, [10, 2, 2, 2]);
    assert_eq!(calls[1].body["Entries"][1]["ReceiptHandle"], "r11");
    assert_eq!(calls[2].operation, "ChangeMessageVisibilityBatch");
    assert_eq!(calls[2].body["Entries"][0]["VisibilityTimeout"], 0);
}

#[tokio::test]
async fn what_the_source_queue_refuses_is_named() {
    let wire = Wire::new(|_, _| {
        Answer::Good(json!({
            "Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "0"}],
            "Failed": [{"Id": "1", "Code": "InvalidMessageContents", "Message": "no", "SenderFault": true}],
        }))
    });
    let queue = SourceQueue::new(&Client::new(&wire.config()), URL, Duration::from_secs(1));
    let accepted = queue.accept(&letters(2)).await.unwrap();
    assert_eq!(
        accepted,
        [Ok(()), Err("InvalidMessageContents: no".to_owned())]
    );
    assert_eq!(wire.calls()[0].body["Entries"][1]["MessageBody"], "b1");
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_shard_is_read_between_two_records() {
    let record = |n: u64| {
        let data = base64::encode(format!("d{n}"));
        json!({"SequenceNumber": n.to_string(), "Data": data, "PartitionKey": "p"})
    };
    let wire = Wire::new(move |number, call| match call.operation.as_str() {
        "GetShardIterator" => Answer::Good(json!({"ShardIterator": "i"})),
        _ => {
            let page: Vec<_> = match number {
                1 => (6..9).map(record).collect(),
                2 => Vec::new(),
                _ => (9..13).map(record).collect(),
            };
            Answer::Good(
                json!({"Records": page, "NextShardIterator": "i", "MillisBehindLatest": 5_000}),
            )
        }
    });
    let log = KinesisLog::new(
        &aws_sdk_kinesis::Client::new(&wire.config()),
        "tickstream-ticks",
    );
    let read = log.records("shardId-1", "7", "10").await.unwrap();
    assert_eq!(
        read,
        [b"d7", b"d8", b"d9"]
            .map(|it| it.to_vec())
            .into_iter()
            .chain([b"d10".to_vec()])
            .collect::<Vec<_>>()
    );
    let opened = &wire.calls()[0].body;
    assert_eq!(opened["ShardIteratorType"], "AT_SEQUENCE_NUMBER");
    assert_eq!(opened["StartingSequenceNumber"], "7");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_ends_or_is_gone_has_fewer_records() {
    let wire = Wire::new(
        |_, call| match (call.operation.as_str(), &call.body["ShardId"]) {
            ("GetShardIterator", shard) if shard == "gone" => {
                Answer::Refusal(400, "ResourceNotFoundException")
            }
            ("GetShardIterator", _) => Answer::Good(json!({"ShardIterator": "i"})),
            _ => Answer::Good(json!({"Records": [], "MillisBehindLatest": 0})),
        },
    );
    let log = KinesisLog::new(
        &aws_sdk_kinesis::Client::new(&wire.config()),
        "tickstream-ticks",
    );
    for shard in ["ended", "gone"] {
        let read = log.records(shard, "7", "10").await.unwrap();
        assert!(read.is_empty(), "{shard}");
    }
}
