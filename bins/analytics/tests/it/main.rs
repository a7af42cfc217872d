//! The function on an in-memory store, and its bootstrap with a fake Runtime API.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod bootstrap;
mod guide_day;
mod hanging;

use std::sync::{Arc, Mutex};

use analytics::handler::Analytics;
use app::analyse::{AnalysisFeed, AnalysisUpdate};
use app::ports::{PortError, Quarantine, Quarantined};
use app::replay::{Checkpoints, Replayable, Settings};
use async_trait::async_trait;
use aws::emf::InvocationMetrics;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::{Reason, Tick};
use runtime::kinesis_event::KinesisEvent;
use serde_json::{Value, json};
use testkit::replay::MemoryShards;
use testkit::ticks::{START_MS, tick, ticks};
use testkit::written::Written;

/// The shard of all events.
const SHARD: &str = "shardId-000000000001";

/// The leading digits of a Kinesis sequence number.
const SEQUENCE: &str = "4959033827149025660855969253836157109592157598";

/// All ports of the function except the store.
#[derive(Default)]
struct Fakes {
    kept: Mutex<Vec<Quarantined>>,
    full: Mutex<bool>,
    published: Mutex<Vec<AnalysisUpdate>>,
}

#[async_trait]
impl Quarantine for Fakes {
    async fn keep(&self, entries: &[Quarantined]) -> Result<(), PortError> {
        if *self.full.lock().unwrap() {
            return Err(PortError {
                operation: "keep",
                retryable: true,
                source: "a fault of the test".into(),
            });
        }
        self.kept.lock().unwrap().extend_from_slice(entries);
        Ok(())
    }
}

#[async_trait]
impl AnalysisFeed for Fakes {
    async fn publish(&self, update: AnalysisUpdate) {
        self.published.lock().unwrap().push(update);
    }
}

struct Scene {
    shards: Arc<MemoryShards>,
    fakes: Arc<Fakes>,
    output: Written,
}

impl Scene {
    fn new() -> Self {
        let shards = Arc::new(MemoryShards::default());
        shards.add_shard(SHARD, &[], 0..=u128::MAX);
        Self {
            shards,
            fakes: Arc::default(),
            output: Written::default(),
        }
    }

    /// A new instance of the function, without anything in memory. Candles are stored at once.
    fn instance(&self) -> Analytics {
        self.instance_with(Arc::clone(&self.shards) as _)
    }

    /// The same with other checkpoints.
    fn instance_with(&self, checkpoints: Arc<dyn Checkpoints>) -> Analytics {
        let clock = || START_MS + 86_400_000;
        let analysis = Replayable {
            checkpoints,
            blocks: Arc::clone(&self.shards) as _,
            log: Arc::clone(&self.shards) as _,
            feed: Arc::clone(&self.fakes) as _,
            clock: Arc::new(clock),
            settings: Settings {
                delay_ms: 0,
                ..Settings::default()
            },
        };
        let metrics =
            InvocationMetrics::new(self.output.clone(), Arc::new(clock), "prices-analytics");
        let quarantine = Arc::clone(&self.fakes) as _;
        Analytics::new(
            analysis,
            quarantine,
            Arc::new(|| START_MS),
            Arc::new(metrics),
        )
    }

    /// The tick counts of a token's candles.
    fn counts(&self, token: &str) -> Vec<u64> {
        let candles = self.shards.candles();
        let of_token = candles.iter().filter(|it| it.token.as_str() == token);
        of_token.map(|candle| candle.tick_count()).collect()
    }

    /// The metric of each invocation that has it.
    fn failed_items(&self) -> Vec<u64> {
        let lines = self.output.json_lines().into_iter();
        let counts = lines.filter_map(|line| {
            assert_eq!(line["FunctionName"], "prices-analytics");
            line["FailedItems"].as_u64()
        });
        counts.collect()
    }

    fn reasons(&self) -> Vec<Reason> {
        let kept = self.fakes.kept.lock().unwrap();
        kept.iter().map(|kept| kept.entry.reason).collect()
    }
}

fn sequence(count: usize) -> String {
    format!("{SEQUENCE}{count:010}")
}

/// An event whose records have these data, counted from `first`.
fn event_value(first: usize, data: &[Vec<u8>]) -> Value {
    let record = |(at, data): (usize, &Vec<u8>)| {
        let sequence = sequence(first + at);
        json!({
            "eventID": format!("shardId-000000000001:{sequence}"),
            "eventSource": "aws:kinesis",
            "kinesis": {
                "sequenceNumber": sequence, "data": BASE64_STANDARD.encode(data),
                "partitionKey": "SOL", "approximateArrivalTimestamp": 1_767_225_600.123,
            },
        })
    };
    let records: Vec<Value> = data.iter().enumerate().map(record).collect();
    json!({"Records": records})
}

fn event(first: usize, data: &[Vec<u8>]) -> KinesisEvent {
    serde_json::from_value(event_value(first, data)).unwrap()
}

fn data_of(tick: &Tick) -> Vec<u8> {
    let mut data = Vec::new();
    codec::json::write_json(tick, &mut data);
    data
}

fn data_of_all(ticks: &[Tick]) -> Vec<Vec<u8>> {
    ticks.iter().map(data_of).collect()
}

async fn failed(analytics: &Analytics, event: KinesisEvent) -> Vec<String> {
    let response = analytics.handle(event).await.unwrap();
    let failures = response.batch_item_failures.into_iter();
    failures.map(|failure| failure.item_identifier).collect()
}

const NONE: [String; 0] = [];

#[tokio::test]
async fn a_tick_that_the_stream_holds_twice_counts_once() {
    let scene = Scene::new();
    let data = data_of_all(&ticks(&["A", "B"], 1_500));
    // By the same instance and by another one, long after its 512 most recent ids.
    let instance = scene.instance();
    for (first, instance) in [
        (1, &instance),
        (10_000, &instance),
        (20_000, &scene.instance()),
    ] {
        assert_eq!(failed(instance, event(first, &data)).await, NONE);
        for token in ["A", "B"] {
            assert_eq!(scene.counts(token).iter().sum::<u64>(), 1_500);
        }
    }
}

#[tokio::test]
async fn a_batch_becomes_candles_and_is_published() {
    let scene = Scene::new();
    let made = ticks(&["A", "B"], 90);
    assert_eq!(
        failed(&scene.instance(), event(1, &data_of_all(&made))).await,
        NONE
    );
    assert_eq!(scene.counts("A"), [60, 30]);
    let published = scene.fakes.published.lock().unwrap();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].averages.len(), 2);
}

#[tokio::test]
async fn a_repeated_batch_changes_nothing() {
    let scene = Scene::new();
    let data = data_of_all(&ticks(&["A", "B"], 90));
    let first = scene.instance();
    assert_eq!(failed(&first, event(1, &data)).await, NONE);
    let (candles, anomalies) = (scene.shards.candles(), scene.shards.anomalies());
    // To the same instance, to a new one, and in two halves.
    assert_eq!(failed(&first, event(1, &data)).await, NONE);
    assert_eq!(failed(&scene.instance(), event(1, &data)).await, NONE);
    let (one, other) = data.split_at(77);
    let second = scene.instance();
    assert_eq!(failed(&second, event(1, one)).await, NONE);
    assert_eq!(failed(&second, event(78, other)).await, NONE);
    assert_eq!(scene.shards.candles(), candles);
    assert_eq!(scene.shards.anomalies(), anomalies);
}

#[tokio::test]
async fn two_alternating_instances_give_the_same_as_one() {
    let data = data_of_all(&ticks(&["A", "B", "C"], 100));
    let alone = Scene::new();
    assert_eq!(failed(&alone.instance(), event(1, &data)).await, NONE);
    let shared = Scene::new();
    let instances = [shared.instance(), shared.instance()];
    for (at, tick) in ticks(&["A", "B", "C"], 100).iter().enumerate() {
        shared
            .shards
            .append_as(SHARD, sequence(1 + at).parse().unwrap(), tick);
    }
    for (turn, part) in data.chunks(30).enumerate() {
        // From the second turn on, an instance reads what the other one has analysed.
        let failures = failed(&instances[turn % 2], event(1 + turn * 30, part)).await;
        assert_eq!(failures, NONE, "turn {turn}");
    }
    assert_eq!(shared.shards.candles(), alone.shards.candles());
}

#[tokio::test]
async fn one_failed_call_is_retried_within_the_invocation() {
    // Whichever call it is.
    for calls in 0..6 {
        let scene = Scene::new();
        let data = data_of_all(&ticks(&["A"], 10));
        scene.shards.fail_after(calls, calls % 2 == 0);
        assert_eq!(failed(&scene.instance(), event(1, &data)).await, NONE);
        // Candles that could not be stored are stored later.
        scene.instance().settle().await.unwrap();
        assert_eq!(scene.counts("A"), [10], "call {calls}");
    }
}

#[tokio::test]
async fn while_the_store_is_unavailable_the_invocation_fails() {
    let scene = Scene::new();
    let mut data = data_of_all(&ticks(&["A"], 10));
    data.insert(3, b"poison".to_vec());
    let analytics = scene.instance();
    scene.shards.fail_all(true);
    let error = analytics.handle(event(1, &data)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a batch of 11 records of shardId-000000000001 failed and will be delivered again"
    );
    assert!(scene.shards.candles().is_empty());
    assert_eq!(
        scene.reasons(),
        [],
        "poison is quarantined only after the commit"
    );
    scene.shards.fail_all(false);
    assert_eq!(failed(&analytics, event(1, &data)).await, NONE);
    assert_eq!(scene.reasons(), [Reason::UnreadableBody]);
    assert_eq!(scene.counts("A"), [10]);
    // `Errors` counts it, and bisect halves the batch.
    assert!(scene.failed_items().is_empty());
}

#[tokio::test]
async fn poison_is_quarantined_and_blocks_nothing() {
    let scene = Scene::new();
    let good = tick("A", 1);
    let data = [
        Vec::new(),
        b"\xff\xfe\x00".to_vec(),
        data_of(&good),
        b"{\"token\":\"A\"}".to_vec(),
        String::from_utf8(data_of(&good))
            .unwrap()
            .replace("10.01", "-1")
            .into_bytes(),
    ];
    assert_eq!(failed(&scene.instance(), event(1, &data)).await, NONE);
    assert_eq!(
        scene.reasons(),
        [
            Reason::UnreadableBody,
            Reason::InvalidUtf8,
            Reason::UnreadableBody,
            Reason::InvalidPrice,
        ]
    );
    let kept = scene.fakes.kept.lock().unwrap();
    assert_eq!(
        (kept[0].source.as_str(), kept[0].received_at_ms),
        ("kinesis", START_MS)
    );
    assert_eq!(scene.shards.candles()[0].tick_count(), 1);
}

#[tokio::test]
async fn a_batch_of_only_poison_succeeds() {
    let scene = Scene::new();
    let data = vec![b"no".to_vec(); 3];
    assert_eq!(failed(&scene.instance(), event(1, &data)).await, NONE);
    assert_eq!(scene.reasons().len(), 3);
    assert!(scene.shards.candles().is_empty());
}

#[tokio::test]
async fn poison_that_cannot_be_quarantined_is_reported_by_its_position() {
    let scene = Scene::new();
    *scene.fakes.full.lock().unwrap() = true;
    let mut data = data_of_all(&ticks(&["A"], 4));
    data.insert(2, b"poison".to_vec());
    let analytics = scene.instance();
    assert_eq!(failed(&analytics, event(1, &data)).await, [sequence(3)]);
    assert_eq!(scene.failed_items(), [3]);
    let candles = scene.shards.candles();
    // Then it is the first one: a response would make Lambda deliver the same batch again.
    assert!(analytics.handle(event(3, &data[2..])).await.is_err());
    *scene.fakes.full.lock().unwrap() = false;
    assert_eq!(failed(&analytics, event(3, &data[2..])).await, NONE);
    assert_eq!(scene.failed_items(), [3]);
    assert_eq!(
        scene.shards.candles(),
        candles,
        "the records after it were folded once"
    );
    assert_eq!(scene.reasons(), [Reason::UnreadableBody]);
}
