//! The fault proxy between SDK clients and the emulator.

use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest,
    ScalarAttributeType, WriteRequest,
};
use aws_sdk_kinesis::error::ProvideErrorMetadata as _;
use aws_sdk_kinesis::operation::put_records::PutRecordsOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use integration::emulator::{self, Emulator};
use integration::faults::{Calls, Choice, Fault, FaultyEndpoint, Times};

pub(crate) struct ProxiedClients {
    pub(crate) emulator: &'static Emulator,
    pub(crate) proxy: FaultyEndpoint,
    pub(crate) config: aws_config::SdkConfig,
    pub(crate) name: String,
}

/// Clients behind a proxy. They do not retry, so each call is counted.
pub(crate) async fn proxied() -> ProxiedClients {
    let emulator = emulator::start().await.unwrap();
    let proxy = FaultyEndpoint::start(emulator).await.unwrap();
    let config = emulator.sdk_config_at(proxy.url());
    let config = config
        .into_builder()
        .retry_config(RetryConfig::disabled())
        .build();
    let name = emulator.unique_project();
    ProxiedClients {
        emulator,
        proxy,
        config,
        name,
    }
}

pub(crate) async fn stream(proxied: &ProxiedClients) -> aws_sdk_kinesis::Client {
    let kinesis = aws_sdk_kinesis::Client::new(&proxied.config);
    kinesis
        .create_stream()
        .stream_name(&proxied.name)
        .shard_count(1)
        .send()
        .await
        .unwrap();
    kinesis
}

async fn put(
    kinesis: &aws_sdk_kinesis::Client,
    proxied: &ProxiedClients,
    count: usize,
) -> Result<PutRecordsOutput, (u16, String)> {
    let entries = (0..count).map(|index| {
        PutRecordsRequestEntry::builder()
            .partition_key(format!("key-{index}"))
            .data(Blob::new("data"))
            .build()
            .unwrap()
    });
    let request = kinesis.put_records().stream_name(&proxied.name);
    let sent = request.set_records(Some(entries.collect())).send().await;
    sent.map_err(|error| {
        let status = error.raw_response().unwrap().status().as_u16();
        (status, error.code().unwrap_or_default().to_owned())
    })
}

/// The number of records in the stream, read without the proxy.
async fn stored(proxied: &ProxiedClients) -> usize {
    let kinesis = aws_sdk_kinesis::Client::new(&proxied.emulator.sdk_config());
    let shards = kinesis
        .list_shards()
        .stream_name(&proxied.name)
        .send()
        .await
        .unwrap();
    let iterator = kinesis
        .get_shard_iterator()
        .stream_name(&proxied.name)
        .shard_id(shards.shards()[0].shard_id())
        .shard_iterator_type("TRIM_HORIZON".into());
    let iterator = iterator.send().await.unwrap().shard_iterator;
    let records = kinesis
        .get_records()
        .set_shard_iterator(iterator)
        .send()
        .await
        .unwrap();
    records.records().len()
}

#[tokio::test]
async fn without_faults_everything_is_forwarded() {
    let proxied = proxied().await;
    let kinesis = stream(&proxied).await;
    let answer = put(&kinesis, &proxied, 3).await.unwrap();
    assert_eq!(
        (answer.failed_record_count(), answer.records().len()),
        (Some(0), 3)
    );
    assert_eq!(stored(&proxied).await, 3);
    assert_eq!(
        proxied.proxy.calls("PutRecords"),
        Calls {
            seen: 1,
            with_fault: 0
        }
    );
}

#[tokio::test]
async fn refused_records_are_reported_and_only_the_others_are_stored() {
    let proxied = proxied().await;
    let kinesis = stream(&proxied).await;
    proxied
        .proxy
        .fail(
            "PutRecords",
            Fault::Refused(Choice::Every(3)),
            Times::Next(1),
        )
        .unwrap();
    let answer = put(&kinesis, &proxied, 7).await.unwrap();
    assert_eq!(answer.failed_record_count(), Some(2));
    let codes: Vec<Option<&str>> = answer.records().iter().map(|r| r.error_code()).collect();
    let refused = Some("ProvisionedThroughputExceededException");
    assert_eq!(codes, [None, None, refused, None, None, refused, None]);
    assert_eq!(stored(&proxied).await, 5);
    assert_eq!(
        put(&kinesis, &proxied, 7)
            .await
            .unwrap()
            .failed_record_count(),
        Some(0)
    );
}

#[tokio::test]
async fn errors_have_the_services_codes_until_they_are_removed() {
    let proxied = proxied().await;
    let kinesis = stream(&proxied).await;
    for (fault, status, code) in [
        (
            Fault::Throttled,
            400,
            "ProvisionedThroughputExceededException",
        ),
        (Fault::InternalError, 500, "InternalFailure"),
        (Fault::Unavailable, 503, "ServiceUnavailable"),
    ] {
        proxied
            .proxy
            .fail("PutRecords", fault, Times::Always)
            .unwrap();
        for _ in 0..2 {
            let error = put(&kinesis, &proxied, 1).await.unwrap_err();
            assert_eq!(error, (status, code.to_owned()));
        }
        proxied.proxy.heal();
    }
    assert_eq!(stored(&proxied).await, 0);
    assert!(put(&kinesis, &proxied, 1).await.is_ok());
    assert_eq!(
        proxied.proxy.calls("PutRecords"),
        Calls {
            seen: 7,
            with_fault: 6
        }
    );
}

#[tokio::test]
async fn a_service_that_is_down_fails_every_call_until_it_is_back() {
    let proxied = proxied().await;
    let kinesis = stream(&proxied).await;
    let down = proxied.proxy.take_down();
    assert!(put(&kinesis, &proxied, 1).await.is_err());
    assert!(kinesis.list_streams().send().await.is_err());
    proxied.proxy.remove(down);
    assert!(kinesis.list_streams().send().await.is_ok());
}

#[tokio::test]
async fn a_lost_response_is_an_error_although_the_call_took_effect() {
    let proxied = proxied().await;
    let kinesis = stream(&proxied).await;
    proxied
        .proxy
        .fail("PutRecords", Fault::LostAnswer, Times::Next(1))
        .unwrap();
    assert_eq!(put(&kinesis, &proxied, 2).await.unwrap_err().0, 500);
    assert_eq!(stored(&proxied).await, 2);
}

#[tokio::test]
async fn a_slow_call_takes_effect_later() {
    let proxied = proxied().await;
    let kinesis = stream(&proxied).await;
    let delay = Duration::from_millis(300);
    proxied
        .proxy
        .fail("PutRecords", Fault::Slow(delay), Times::Next(1))
        .unwrap();
    let started = Instant::now();
    assert!(put(&kinesis, &proxied, 1).await.is_ok());
    assert!(started.elapsed() >= delay);
}

/// A table with these text keys, the partition key first.
pub(crate) async fn table(
    proxied: &ProxiedClients,
    name: &str,
    keys: &[&str],
) -> aws_sdk_dynamodb::Client {
    let dynamo = aws_sdk_dynamodb::Client::new(&proxied.config);
    let mut create = dynamo
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest);
    for (key, kind) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
        let attribute = AttributeDefinition::builder()
            .attribute_name(*key)
            .attribute_type(ScalarAttributeType::S);
        let element = KeySchemaElement::builder()
            .attribute_name(*key)
            .key_type(kind);
        create = create
            .attribute_definitions(attribute.build().unwrap())
            .key_schema(element.build().unwrap());
    }
    create.send().await.unwrap();
    dynamo
}

#[tokio::test]
async fn unprocessed_items_are_returned_and_the_others_are_stored() {
    let proxied = proxied().await;
    let dynamo = table(&proxied, &proxied.name, &["pk"]).await;
    proxied
        .proxy
        .fail(
            "BatchWriteItem",
            Fault::Refused(Choice::First(2)),
            Times::Next(1),
        )
        .unwrap();
    let writes = (0..5).map(|index| {
        let put = PutRequest::builder().item("pk", AttributeValue::S(format!("item-{index}")));
        WriteRequest::builder()
            .put_request(put.build().unwrap())
            .build()
    });
    let write = dynamo
        .batch_write_item()
        .request_items(&proxied.name, writes.collect());
    let answer = write.send().await.unwrap();
    let unprocessed = &answer.unprocessed_items().unwrap()[&proxied.name];
    assert_eq!(unprocessed.len(), 2);
    let scan = dynamo
        .scan()
        .table_name(&proxied.name)
        .send()
        .await
        .unwrap();
    assert_eq!(scan.count(), 3);
}

#[tokio::test]
async fn the_query_protocol_is_supported() {
    let proxied = proxied().await;
    let sns = aws_sdk_sns::Client::new(&proxied.config);
    let topic = sns.create_topic().name(&proxied.name).send().await.unwrap();
    proxied
        .proxy
        .fail("Publish", Fault::Throttled, Times::Next(1))
        .unwrap();
    let publish = || {
        sns.publish()
            .topic_arn(topic.topic_arn().unwrap())
            .message("hello")
    };
    let error = publish().send().await.unwrap_err();
    assert_eq!(error.code(), Some("Throttling"));
    assert!(publish().send().await.is_ok());
}

#[tokio::test]
async fn bodies_are_forwarded_byte_for_byte() {
    let proxied = proxied().await;
    let config = aws_sdk_s3::config::Builder::from(&proxied.config)
        .force_path_style(true)
        .build();
    let s3 = aws_sdk_s3::Client::from_conf(config);
    s3.create_bucket()
        .bucket(&proxied.name)
        .send()
        .await
        .unwrap();
    let bytes: Vec<u8> = (0..=255_u8).cycle().take(300_000).collect();
    let body = aws_sdk_s3::primitives::ByteStream::from(bytes.clone());
    let put = s3
        .put_object()
        .bucket(&proxied.name)
        .key("a b/ü.bin")
        .body(body);
    put.send().await.unwrap();
    let got = s3
        .get_object()
        .bucket(&proxied.name)
        .key("a b/ü.bin")
        .send()
        .await
        .unwrap();
    assert_eq!(got.body.collect().await.unwrap().into_bytes(), bytes);
}
