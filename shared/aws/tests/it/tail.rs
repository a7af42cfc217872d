//! Reading the stream: pages, pace, resharding, expired iterators.

use std::time::Duration;

use aws::kinesis::shard_reader::Begin;
use aws::kinesis::tail::{StreamTail, Tailed};
use aws::operator_ports::StreamArrivals;
use aws_sdk_kinesis::Client;
use aws_smithy_types::base64;
use ops::ports::Arrivals;
use serde_json::{Value, json};
use testkit::ticks::tick;
use tokio::time::Instant;

use aws_client::scripted_http::{Answer, Call, Wire};

const ARRIVED_S: f64 = 1_767_225_600.25;

fn record(token: &str, n: u32) -> Value {
    let mut data = Vec::new();
    codec::json::write_json(&tick(token, n), &mut data);
    json!({
        "SequenceNumber": n.to_string(),
        "ApproximateArrivalTimestamp": ARRIVED_S,
        "Data": base64::encode(data),
        "PartitionKey": token,
    })
}

fn shard(id: &str, parent: Option<&str>, ended: bool) -> Value {
    let mut range = json!({"StartingSequenceNumber": "0"});
    if ended {
        range["EndingSequenceNumber"] = "9".into();
    }
    json!({
        "ShardId": id,
        "ParentShardId": parent,
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"},
        "SequenceNumberRange": range,
    })
}

fn page(records: &[Value], next: Option<&str>, behind_ms: u32) -> Answer {
    Answer::Good(json!({
        "Records": records,
        "NextShardIterator": next,
        "MillisBehindLatest": behind_ms,
    }))
}

/// The iterator of a call to GetRecords; for a GetShardIterator it is the shard's id.
fn iterator(call: &Call) -> &str {
    call.body["ShardIterator"].as_str().unwrap_or_default()
}

fn opened(call: &Call) -> Answer {
    Answer::Good(json!({"ShardIterator": call.body["ShardId"]}))
}

async fn tail(wire: &Wire, begin: Begin) -> StreamTail {
    let client = Client::new(&wire.config());
    StreamTail::open(&client, "tickstream-ticks", begin)
        .await
        .unwrap()
}

fn sequences(tailed: &[Tailed]) -> Vec<u64> {
    tailed
        .iter()
        .map(|tailed| tailed.sequence.count())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn ticks_have_a_position_and_an_arrival_time_and_poison_is_reported() {
    let wire = Wire::new(|_, call| match call.operation.as_str() {
        "ListShards" => Answer::Good(json!({"Shards": [shard("s0", None, false)]})),
        "GetShardIterator" => opened(call),
        _ => {
            let mut poison = record("B", 8);
            poison["Data"] = base64::encode("no tick").into();
            page(&[record("A", 7), poison], Some("s0"), 0)
        }
    });
    let tailed = tail(&wire, Begin::AtTimestamp(1_500))
        .await
        .poll()
        .await
        .unwrap();
    assert_eq!(sequences(&tailed), [7, 8]);
    let first = &tailed[0];
    assert_eq!(
        (first.shard_id.as_str(), first.partition_key.as_str()),
        ("s0", "A")
    );
    assert_eq!(first.arrived_at_ms, Some(1_767_225_600_250));
    assert_eq!(first.tick.as_ref().unwrap(), &tick("A", 7));
    assert!(tailed[1].tick.is_err());
    let opening = &wire.calls()[1].body;
    assert_eq!(opening["ShardIteratorType"], "AT_TIMESTAMP");
    assert_eq!(opening["Timestamp"], 1.5);
}

#[tokio::test(start_paused = true)]
async fn a_split_shard_is_read_to_its_end_before_its_children() {
    // s0 was split into s1 and s2; s2 was split into s3 while s2 was being read.
    let wire = Wire::new(|n, call| match call.operation.as_str() {
        "ListShards" if call.body.get("NextToken").is_some() => {
            assert!(call.body.get("StreamName").is_none());
            Answer::Good(json!({"Shards": [shard("s2", Some("s0"), n > 4)]}))
        }
        "ListShards" => {
            let mut shards = vec![shard("s0", None, true), shard("s1", Some("s0"), false)];
            if n > 4 {
                shards.push(shard("s3", Some("s2"), false));
            }
            Answer::Good(json!({"Shards": shards, "NextToken": "more"}))
        }
        "GetShardIterator" => opened(call),
        _ => match iterator(call) {
            "s0" => page(&[record("A", 1)], Some("s0b"), 5),
            "s0b" => page(&[record("A", 2)], None, 0),
            "s1" => page(&[record("A", 3)], Some("s1b"), 0),
            "s2" => page(&[record("B", 4)], None, 0),
            "s3" => page(&[record("B", 5)], Some("s3b"), 0),
            later => page(&[], Some(later), 0),
        },
    });
    let tailed = tail(&wire, Begin::TrimHorizon)
        .await
        .catch_up()
        .await
        .unwrap();
    let mut shards: Vec<(&str, u64)> = tailed
        .iter()
        .map(|tailed| (tailed.shard_id.as_str(), tailed.sequence.count()))
        .collect();
    assert_eq!(shards[..2], [("s0", 1), ("s0", 2)]);
    shards.sort_unstable();
    assert_eq!(
        shards,
        [("s0", 1), ("s0", 2), ("s1", 3), ("s2", 4), ("s3", 5)]
    );
}

/// The last record of a closed shard comes with an iterator, and as the newest.
#[tokio::test(start_paused = true)]
async fn a_reader_has_not_caught_up_before_it_has_read_the_children() {
    let wire = Wire::new(|n, call| match call.operation.as_str() {
        "ListShards" => {
            let split = n > 0;
            let mut shards = vec![shard("s0", None, split)];
            if split {
                shards.push(shard("s1", Some("s0"), false));
            }
            Answer::Good(json!({"Shards": shards}))
        }
        "GetShardIterator" => opened(call),
        _ => match iterator(call) {
            "s0" => page(&[record("A", 1)], Some("s0b"), 0),
            "s0b" => page(&[], None, 0),
            "s1" => page(&[record("A", 2)], Some("s1b"), 0),
            later => page(&[], Some(later), 0),
        },
    });
    let mut tail = tail(&wire, Begin::TrimHorizon).await;
    assert_eq!(sequences(&tail.catch_up().await.unwrap()), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn closed_shards_are_skipped_when_starting_at_latest() {
    let wire = Wire::new(|_, call| match call.operation.as_str() {
        "ListShards" => {
            let shards = [shard("s0", None, true), shard("s1", Some("s0"), false)];
            Answer::Good(json!({"Shards": shards}))
        }
        "GetShardIterator" => opened(call),
        _ => page(&[record("A", 3)], Some("s1"), 0),
    });
    let tailed = tail(&wire, Begin::Latest).await.poll().await.unwrap();
    assert_eq!(sequences(&tailed), [3]);
    let opened: Vec<Value> = wire
        .calls()
        .iter()
        .filter(|call| call.operation == "GetShardIterator")
        .map(|call| call.body["ShardId"].clone())
        .collect();
    assert_eq!(opened, ["s1"]);
}

/// Only records that arrive after the start are read, however often the stream is resharded then.
#[tokio::test(start_paused = true)]
async fn shards_that_were_passed_over_at_latest_are_not_read_after_a_split() {
    let wire = Wire::new(|n, call| match call.operation.as_str() {
        "ListShards" => {
            let split = n > 0;
            let mut shards = vec![shard("s0", None, true), shard("s1", Some("s0"), split)];
            if split {
                shards.push(shard("s2", Some("s1"), false));
            }
            Answer::Good(json!({"Shards": shards}))
        }
        "GetShardIterator" => opened(call),
        _ => match iterator(call) {
            "s0" => page(&[record("A", 1)], None, 0),
            "s1" => page(&[record("A", 2)], None, 0),
            later => page(&[record("A", 3)], Some(later), 0),
        },
    });
    let mut tail = tail(&wire, Begin::Latest).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.extend(sequences(&tail.poll().await.unwrap()));
    }
    assert_eq!(seen, [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_iterator_is_replaced_after_the_last_record() {
    let wire = Wire::new(|_, call| match call.operation.as_str() {
        "ListShards" => Answer::Good(json!({"Shards": [shard("s0", None, false)]})),
        "GetShardIterator" if call.body.get("StartingSequenceNumber").is_some() => {
            assert_eq!(call.body["StartingSequenceNumber"], "1");
            assert_eq!(call.body["ShardIteratorType"], "AFTER_SEQUENCE_NUMBER");
            Answer::Good(json!({"ShardIterator": "renewed"}))
        }
        "GetShardIterator" => opened(call),
        _ => match iterator(call) {
            "s0" => page(&[record("A", 1)], Some("old"), 5),
            "old" => Answer::Refusal(400, "ExpiredIteratorException"),
            _ => page(&[record("A", 2)], Some("end"), 0),
        },
    });
    let tailed = tail(&wire, Begin::TrimHorizon)
        .await
        .catch_up()
        .await
        .unwrap();
    assert_eq!(sequences(&tailed), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_shard_is_read_later_and_a_missing_stream_is_an_error() {
    let wire = Wire::new(|n, call| match call.operation.as_str() {
        "ListShards" => Answer::Good(json!({"Shards": [shard("s0", None, false)]})),
        "GetShardIterator" => opened(call),
        _ if n < 6 => Answer::Refusal(400, "ProvisionedThroughputExceededException"),
        _ if n == 6 => page(&[record("A", 1)], Some("s0"), 0),
        _ => Answer::Refusal(400, "ResourceNotFoundException"),
    });
    let mut tail = tail(&wire, Begin::TrimHorizon).await;
    assert_eq!(sequences(&tail.catch_up().await.unwrap()), [1]);
    let error = tail.poll().await.unwrap_err();
    assert!(!error.retryable);
}

#[tokio::test(start_paused = true)]
async fn a_poll_of_a_stream_that_is_never_caught_up_is_bounded() {
    let wire = Wire::new(|n, call| match call.operation.as_str() {
        "ListShards" => Answer::Good(json!({"Shards": [shard("s0", None, false)]})),
        "GetShardIterator" => opened(call),
        // There is always another record, so the reader is always behind.
        _ => page(&[record("A", u32::try_from(n).unwrap())], Some("s0"), 9),
    });
    let mut arrivals = StreamArrivals::new(&Client::new(&wire.config()), "tickstream-ticks");
    arrivals.watch_from(1_500).await.unwrap();
    let began = Instant::now();
    let look = arrivals.poll().await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert!(!look.caught_up);
    let read = look.arrivals.len();
    assert_eq!(read, 3, "the records that were read are kept");
    assert_eq!(wire.calls()[1].body["ShardIteratorType"], "AT_TIMESTAMP");
}
