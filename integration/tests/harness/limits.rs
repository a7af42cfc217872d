//! The limits by the second, between SDK clients and the emulator. That they return with time is tested in
//! `faults/limits.rs`, with times of its own.

use std::time::Duration;

use app::ports::SequenceNumber;
use app::replay::ShardLog as _;
use aws::kinesis::shard_log::KinesisLog;
use aws::kinesis::shard_reader::Begin;
use aws::kinesis::tail::StreamTail;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use futures_util::future::join_all;
use integration::faults::Limits;

use crate::faults::{ProxiedClients, proxied, table};

/// The code of a call, an item or a record that is over a limit.
const OVER: &str = "ProvisionedThroughputExceededException";

/// Puts items of one partition key whose values have so many bytes; returns how many are left, or the code.
async fn write(
    dynamo: &aws_sdk_dynamodb::Client,
    table: &str,
    (partition, bytes): (&str, usize),
    sort_keys: std::ops::Range<u32>,
) -> Result<usize, String> {
    let text = |text: String| AttributeValue::S(text);
    let writes = sort_keys.map(|n| {
        let put = PutRequest::builder()
            .item("pk", text(partition.to_owned()))
            .item("sk", text(n.to_string()))
            .item("value", text("x".repeat(bytes)));
        WriteRequest::builder()
            .put_request(put.build().unwrap())
            .build()
    });
    let request = dynamo.batch_write_item();
    let sent = request.request_items(table, writes.collect()).send().await;
    let answer = sent.map_err(|error| error.code().unwrap_or_default().to_owned())?;
    let left = answer.unprocessed_items.unwrap_or_default();
    Ok(left.into_values().map(|all| all.len()).sum())
}

#[tokio::test]
async fn items_without_units_are_unprocessed_by_partition_and_by_table() {
    let proxied = proxied().await;
    let dynamo = table(&proxied, &proxied.name, &["pk", "sk"]).await;
    let put =
        async |partition, sort_keys| write(&dynamo, &proxied.name, partition, sort_keys).await;
    // Units return during the test, so each call has new limits.
    let scarce = |table_units, partition_units| Limits {
        table_units,
        partition_units,
        ..Limits::AWS
    };
    proxied.proxy.limit(scarce(100, 3));
    assert_eq!(put(("a", 10), 0..5).await, Ok(2));
    assert_eq!(put(("b", 10), 0..2).await, Ok(0), "another partition");
    proxied.proxy.limit(scarce(3, 100));
    assert_eq!(put(("c", 1_100), 0..2).await, Ok(1), "each has two units");
    proxied.proxy.limit(scarce(3, 100));
    assert_eq!(put(("d", 10), 0..5).await, Ok(2), "the table has three");
    let scan = dynamo
        .scan()
        .table_name(&proxied.name)
        .send()
        .await
        .unwrap();
    assert_eq!(scan.count(), 3 + 2 + 1 + 3);
    assert_eq!(proxied.proxy.calls("BatchWriteItem").with_fault, 3);
    proxied.proxy.limit(scarce(1, 1));
    let mut codes = Vec::new();
    for n in 0..20 {
        codes.push(put(("e", 10), n..n + 1).await);
    }
    assert!(codes.contains(&Err(OVER.to_owned())), "{codes:?}");
}

async fn two_shards(proxied: &ProxiedClients) -> aws_sdk_kinesis::Client {
    let kinesis = aws_sdk_kinesis::Client::new(&proxied.config);
    let create = kinesis.create_stream().stream_name(&proxied.name);
    create.shard_count(2).send().await.unwrap();
    kinesis
}

fn record(explicit_hash_key: u128, bytes: usize) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder()
        .partition_key("k")
        .explicit_hash_key(explicit_hash_key.to_string())
        .data(Blob::new(vec![7; bytes]))
        .build()
        .unwrap()
}

#[tokio::test]
async fn records_without_room_are_refused_by_shard() {
    let proxied = proxied().await;
    let kinesis = two_shards(&proxied).await;
    let refused = async |records: Vec<PutRecordsRequestEntry>| {
        let request = kinesis.put_records().stream_name(&proxied.name);
        let sent = request.set_records(Some(records)).send().await.unwrap();
        let codes = sent.records().iter().map(|it| it.error_code().is_some());
        codes.collect::<Vec<bool>>()
    };
    proxied.proxy.limit(Limits {
        shard_records: 2,
        ..Limits::AWS
    });
    let (low, high) = (0, u128::MAX);
    let records = [low, low, low, high, low, high].map(|key| record(key, 10));
    let codes = refused(records.to_vec()).await;
    assert_eq!(codes, [false, false, true, false, true, false]);
    proxied.proxy.limit(Limits {
        shard_bytes: 2_000,
        ..Limits::AWS
    });
    let records = [record(low, 1_999), record(low, 1_000), record(high, 1_000)];
    assert_eq!(refused(records.to_vec()).await, [false, true, false]);
}

#[tokio::test]
async fn readers_of_a_shard_share_its_reads_and_each_reads_everything() {
    let proxied = proxied().await;
    let kinesis = two_shards(&proxied).await;
    let records: Vec<_> = (0..40).map(|n| record(n % 2 * u128::MAX, 100)).collect();
    let request = kinesis.put_records().stream_name(&proxied.name);
    request.set_records(Some(records)).send().await.unwrap();
    let shards = KinesisLog::new(&kinesis, &proxied.name)
        .shards()
        .await
        .unwrap();
    // Fewer than AWS's, so that the readers get in each other's way for certain.
    proxied.proxy.limit(Limits {
        shard_reads: 2,
        ..Limits::AWS
    });
    let config = proxied.config.to_builder();
    let retries = aws_config::retry::RetryConfig::standard().with_max_attempts(10);
    let config = config.retry_config(retries).build();
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    let tails = (0..3).map(async |_| {
        let tail = StreamTail::open(&kinesis, &proxied.name, Begin::TrimHorizon).await;
        tail.unwrap().catch_up().await.unwrap().len()
    });
    let replays = shards.iter().map(async |shard| {
        let log = KinesisLog::new(&kinesis, &proxied.name);
        let mut after = SequenceNumber::START;
        let mut count = 0;
        loop {
            let replayed = log.between(shard, after, None).await.unwrap();
            count += replayed.records.len();
            if replayed.complete {
                return count;
            }
            after = replayed.records.last().map_or(after, |(last, _)| *last);
        }
    });
    let all = async { tokio::join!(join_all(tails), join_all(replays)) };
    let all = tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .unwrap();
    assert_eq!(all, (vec![40; 3], vec![20; 2]));
    let calls = proxied.proxy.calls("GetRecords");
    assert!(calls.with_fault > 0, "{calls:?}");
}
