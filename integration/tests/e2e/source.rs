//! Failures around the store: poison and outages with our model of the event source, and unprocessed
//! items of DynamoDB. Also the scaler's decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use domain::{Tick, TickId};
use integration::bootstraps;
use integration::event_source::function::BootstrapFunction;
use integration::event_source::{Answer, EventSource, Function, MappingSettings, StartingPosition};
use integration::faults::{Choice, Fault, FaultyEndpoint, Times};
use integration::stream_metrics;
use serde_json::{Value, json};
use testkit::ticks::{tick, ticks};

use crate::flow::{at_full, minute_trades};
use crate::project::{Project, body_of, until};

const TOKENS: [&str; 4] = ["source-a", "source-b", "source-c", "source-d"];

/// The deployed timeout of the analytics function, which is longer than its own limit for a batch.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(60);

/// The real function. An outage ends once an invocation has failed because of it.
struct Analytics {
    bootstrap: BootstrapFunction,
    faulty: FaultyEndpoint,
    /// The size of each batch, and whether it was done.
    batches: Mutex<Vec<(usize, bool)>>,
}

#[async_trait]
impl Function for Analytics {
    fn arn(&self) -> &str {
        self.bootstrap.arn()
    }

    async fn invoke(&self, event: Value) -> Answer {
        let records = event["Records"].as_array().map_or(0, Vec::len);
        let answer = self.bootstrap.invoke(event).await;
        let is_done = matches!(&answer, Answer::Returned(returned)
            if returned["batchItemFailures"].as_array().is_some_and(Vec::is_empty));
        if !is_done {
            println!("the function returned {answer:?}");
            self.faulty.heal();
        }
        self.batches.lock().unwrap().push((records, is_done));
        answer
    }
}

/// Analytics of a stream with the deployed variables, behind a proxy that can make DynamoDB fail.
async fn analytics(project: &Project, stream: &str) -> Arc<Analytics> {
    let faulty = FaultyEndpoint::start(project.emulator).await.unwrap();
    let mut environment = project.variables("analytics").await;
    for (name, value) in project.emulator.environment() {
        environment.insert(name.to_owned(), value.into());
    }
    environment.insert("AWS_ENDPOINT_URL_DYNAMODB".into(), faulty.url().into());
    environment.insert("STREAM_NAME".into(), stream.into());
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    let name = format!("{}-analytics", project.name);
    let program = bootstraps::program("analytics").unwrap();
    let bootstrap = BootstrapFunction::new(&name, program, &environment, FUNCTION_TIMEOUT);
    Arc::new(Analytics {
        bootstrap,
        faulty,
        batches: Mutex::default(),
    })
}

/// A separate stream, which the emulator's own reader does not read.
async fn own_stream(project: &Project, name: &str, shards: i32) -> String {
    let stream = format!("{}-{name}", project.name);
    let created = project.kinesis.create_stream().stream_name(&stream);
    created.shard_count(shards).send().await.unwrap();
    until("the stream is active", async || {
        let described = project.kinesis.describe_stream_summary();
        let described = described.stream_name(&stream).send().await.unwrap();
        let summary = described.stream_description_summary.unwrap();
        summary.stream_status().as_str() == "ACTIVE"
    })
    .await;
    stream
}

/// Puts records with their tokens as partition keys.
async fn put(project: &Project, stream: &str, records: &[(&str, Vec<u8>)]) {
    let entries = records.iter().map(|(token, data)| {
        PutRecordsRequestEntry::builder()
            .partition_key(*token)
            .data(Blob::new(data.clone()))
            .build()
            .unwrap()
    });
    let request = project.kinesis.put_records().stream_name(stream);
    let request = request.set_records(Some(entries.collect()));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.failed_record_count().unwrap_or(0), 0);
}

/// Ticks of all tokens, by number.
fn records(numbers: std::ops::Range<u32>) -> Vec<(&'static str, Vec<u8>)> {
    numbers
        .flat_map(|n| TOKENS.map(|token| (token, tick(token, n))))
        .map(|(token, tick)| {
            let mut data = Vec::new();
            codec::json::write_json(&tick, &mut data);
            (token, data)
        })
        .collect()
}

async fn open(project: &Project, stream: &str, function: &Arc<Analytics>) -> EventSource {
    let deployed = project.stream_mapping("analytics").await;
    let settings = MappingSettings::from_mapping(&deployed).unwrap();
    assert!(settings.partial_failures && settings.bisect, "{deployed}");
    let function = Arc::clone(function) as Arc<dyn Function>;
    let from = StartingPosition::TrimHorizon;
    let config = project.emulator.sdk_config();
    let opened = EventSource::open(&config, stream, function, settings, from, None).await;
    opened.unwrap()
}

#[track_caller]
fn counted(trades: &[u64], of_each: u64) {
    assert_eq!(
        trades,
        [of_each; TOKENS.len()],
        "candles count each tick once"
    );
}

async fn trades(project: &Project) -> Vec<u64> {
    let mut trades = Vec::new();
    for token in TOKENS {
        trades.push(minute_trades(project, token).await);
    }
    trades
}

/// The whole analytics table without the times of expiry: candles, anomalies, and how far the shards are analysed.
async fn analysis(project: &Project) -> BTreeMap<String, BTreeMap<String, AttributeValue>> {
    let scan = project.dynamodb.scan();
    let scan = scan.table_name(format!("{}-analytics", project.name));
    let mut items = scan.into_paginator().items().send();
    let mut found = BTreeMap::new();
    while let Some(item) = items.next().await {
        let mut item: BTreeMap<_, _> = item.unwrap().into_iter().collect();
        item.remove("expires_at");
        found.insert(format!("{:?} {:?}", item["pk"], item["sk"]), item);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_and_outages_do_not_lose_records() {
    let project = Project::deploy().await;
    let stream = own_stream(&project, "own", 2).await;
    let function = analytics(&project, &stream).await;
    let mut source = open(&project, &stream, &function).await;

    // Poison among ticks is quarantined, and all other ticks are counted.
    let mut with_poison = records(0..40);
    with_poison.insert(80, (TOKENS[1], b"garbage of the test".to_vec()));
    put(&project, &stream, &with_poison).await;
    let report = source.drain().await.unwrap().clone();
    assert_eq!(report.records_processed, with_poison.len(), "{report:?}");
    assert_eq!((report.failed_invocations, report.given_up.len()), (0, 0));
    counted(&trades(&project).await, 40);
    let kept = project.objects("quarantine/").await;
    let garbage = kept
        .iter()
        .filter(|(_, text)| String::from_utf8_lossy(text).contains("garbage of the test"));
    assert_eq!(garbage.count(), 1, "{kept:?}");

    // A short outage is retried inside the invocation. After a lost response, it is unknown whether the
    // commit took effect.
    let commit = "UpdateItem";
    for (fault, numbers) in [(Fault::Unavailable, 40..50), (Fault::LostAnswer, 50..60)] {
        let before = function.faulty.calls(commit).with_fault;
        let times = Times::Next(3);
        function.faulty.fail(commit, fault.clone(), times).unwrap();
        let end = u64::from(numbers.end);
        put(&project, &stream, &records(numbers)).await;
        let report = source.drain().await.unwrap();
        assert_eq!(report.given_up, [], "{fault:?}");
        let faults = function.faulty.calls(commit).with_fault - before;
        assert_eq!(faults, 3, "{fault:?}");
        counted(&trades(&project).await, end);
        function.faulty.heal();
    }

    // An outage that lasts until an invocation fails. A batch without progress is an error, which Lambda
    // counts in `Errors` and after which it halves the batch: in the AWS Lambda Developer Guide,
    // "Types of metrics for Lambda functions", section "Invocation metrics", and "Configuring partial
    // batch response with Kinesis Data Streams and Lambda", section "Bisecting a batch".
    let batches_before = function.batches.lock().unwrap().len();
    function
        .faulty
        .fail(commit, Fault::Unavailable, Times::Always)
        .unwrap();
    put(&project, &stream, &records(60..80)).await;
    let report = source.drain().await.unwrap().clone();
    assert_eq!(report.given_up, []);
    assert!(!report.errors.is_empty(), "{report:?}");
    assert_eq!(report.errors.len(), report.failed_invocations);
    for error in &report.errors {
        assert!(
            error.contains("InvocationError") && error.contains("records of shardId-"),
            "{error}"
        );
    }
    let batches = function.batches.lock().unwrap()[batches_before..].to_vec();
    let failed = batches.iter().filter(|(_, is_done)| !is_done);
    for (records, _) in failed {
        for half in [records.div_ceil(2), records / 2] {
            assert!(batches.contains(&(half, true)), "{batches:?}");
        }
    }
    assert_eq!(report.records_processed, 80 * TOKENS.len() + 1);
    counted(&trades(&project).await, 80);

    // Everything again, in the same process and in a new one, which has to read a snapshot.
    let before = analysis(&project).await;
    for is_cold in [false, true] {
        if is_cold {
            function.bootstrap.cool_down().await;
        }
        let mut again = open(&project, &stream, &function).await;
        let report = again.drain().await.unwrap();
        assert_eq!(report.records_processed, 80 * TOKENS.len() + 1);
        assert_eq!(analysis(&project).await, before, "cold: {is_cold}");
    }
}

fn ids(ticks: &[Tick]) -> BTreeSet<TickId> {
    ticks.iter().map(|tick| tick.tick_id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_dynamodb_leaves_unprocessed_are_stored() {
    let project = at_full().await;
    let faulty = FaultyEndpoint::start(project.emulator).await.unwrap();
    let faults = ("AWS_ENDPOINT_URL_DYNAMODB", faulty.url_for_functions());
    project.set_variables("webhook", &[faults]).await;
    let write = "BatchWriteItem";

    let fault = Fault::Refused(Choice::Every(3));
    faulty.fail(write, fault, Times::Next(2)).unwrap();
    let parts = ticks(&["left-a", "left-b"], 20);
    project.deliver(&parts).await;
    assert_eq!(project.stored().await, ids(&parts));
    let calls = faulty.calls(write);
    assert_eq!(calls.with_fault, 2);
    assert!(calls.seen > 2, "unprocessed items were retried");

    // Without its store, the webhook accepts nothing and forwards nothing.
    faulty
        .fail(write, Fault::Unavailable, Times::Always)
        .unwrap();
    let refused = ticks(&["left-c"], 20);
    let (status, answer) = project.post("ticks", body_of(&refused)).await;
    assert_eq!(status, 503, "{answer}");
    assert_eq!(project.stored().await, ids(&parts));
    let streamed = async || ids(&project.streamed().await);
    until("the stored ticks are in the stream", async || {
        streamed().await.is_superset(&ids(&parts))
    })
    .await;
    assert_eq!(streamed().await, ids(&parts));

    // The sender retries.
    faulty.heal();
    project.deliver(&refused).await;
    let all: BTreeSet<TickId> = ids(&parts).union(&ids(&refused)).copied().collect();
    assert_eq!(project.stored().await, all);
    until("all ticks are in the stream", async || {
        streamed().await == all
    })
    .await;
}

async fn open_shards(project: &Project, stream: &str) -> Option<i32> {
    let described = project.kinesis.describe_stream_summary();
    let described = described.stream_name(stream).send().await.unwrap();
    let summary = described.stream_description_summary.unwrap();
    (summary.stream_status().as_str() == "ACTIVE").then(|| summary.open_shard_count())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scaler_stays_within_its_limits() {
    let project = Project::deploy().await;
    let deployed = project.variables("scaler").await;
    assert_eq!(
        (&deployed["SHARDS_MIN"], &deployed["SHARDS_MAX"]),
        (&json!("2"), &json!("10"))
    );
    let few = own_stream(&project, "few", 2).await;
    let many = own_stream(&project, "many", 9).await;

    let quiet = own_stream(&project, "quiet", 9).await;
    let function_name = format!("{}-scaler", project.name);
    let config = project.emulator.sdk_config();
    let set = stream_metrics::set_open_shards(&config, &function_name, 9);
    set.await.unwrap();
    for (stream, shards_filled) in [(&many, 36.0), (&quiet, 0.1), (&few, 1.7)] {
        let add = stream_metrics::add_traffic(&config, stream, shards_filled);
        add.await.unwrap();
    }

    // A dry run reports the step, limited to the maximum, and changes nothing.
    for (stream, to) in [(&many, 10), (&quiet, 6)] {
        let dry = [("STREAM_NAME", stream.as_str()), ("DRY_RUN", "true")];
        project.set_variables("scaler", &dry).await;
        let answer = project.invoke("scaler", &json!({})).await;
        let expected = json!({ "outcome": "would_request", "from": 9, "to": to });
        assert_eq!(answer, expected, "{stream}");
        assert_eq!(open_shards(&project, stream).await, Some(9));
    }

    // A real step up.
    let earnest = [("STREAM_NAME", few.as_str()), ("DRY_RUN", "false")];
    project.set_variables("scaler", &earnest).await;
    let answer = project.invoke("scaler", &json!({})).await;
    let expected = json!({ "outcome": "requested", "from": 2, "to": 3 });
    assert_eq!(answer, expected);
    until("the third shard is open", async || {
        open_shards(&project, &few).await == Some(3)
    })
    .await;
}
