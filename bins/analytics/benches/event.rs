//! What a tick costs from a Lambda's event on: JSON and base64 are decoded, and candles, averages and anomalies computed.
//! Nothing is written: `cargo bench -p analytics`.

use std::hint::black_box;
use std::sync::Arc;

use analytics::Analytics;
use app::analyse::{AnalysisFeed, AnalysisUpdate};
use app::ports::{PortError, Quarantine, Quarantined};
use app::replay::{Replayable, Settings};
use async_trait::async_trait;
use aws::emf::InvocationMetrics;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use criterion::{BatchSize, Criterion, Throughput};
use domain::{Price, Tick, TickId, Volume};
use runtime::kinesis_event::KinesisEvent;
use rust_decimal::Decimal;
use testkit::replay::MemoryShards;
use testkit::ticks::{START_MS, tick};
use testkit::written::Written;

const SHARD: &str = "shardId-000000000001";
const PAIRS: u32 = 50;
const RECORDS: u32 = 500;

/// Events before the measurement, and in it. A record comes every 2 ms, so all of them are 80 s.
const WARM_UP_EVENTS: u32 = 60;
const MEASURED_EVENTS: u32 = 20;
const RECORD_EVERY_MS: i64 = 2;

struct Nobody;

#[async_trait]
impl AnalysisFeed for Nobody {
    async fn publish(&self, update: AnalysisUpdate) {
        black_box(update);
    }
}

#[async_trait]
impl Quarantine for Nobody {
    async fn keep(&self, _: &[Quarantined]) -> Result<(), PortError> {
        Ok(())
    }
}

/// Record number `n` of the stream.
fn record(n: u32) -> Option<String> {
    let timestamp_ms = START_MS + i64::from(n) * RECORD_EVERY_MS;
    let step = i64::from(n.wrapping_mul(7_919) % 2_003);
    let made = Tick {
        tick_id: TickId::derive("bench", &[&n.to_string()]),
        price: Price::new(Decimal::new(18_345_000_000 + 9_000 * step, 8)).ok()?,
        volume: Volume::new(Decimal::new(1_000_000 + 12_347 * step, 9)).ok(),
        timestamp_ms,
        ingested_at_ms: timestamp_ms + 40,
        ..tick(
            &format!("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTD{:03}", n % PAIRS),
            n,
        )
    };
    let mut data = Vec::new();
    codec::json::write_json(&made, &mut data);
    let data = BASE64_STANDARD.encode(data);
    let sequence = format!("4959033827149025660855969253836157109592157598913658{n:010}");
    Some(format!(
        r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":"1","sequenceNumber":"{sequence}","data":"{data}","approximateArrivalTimestamp":1767225600.123}},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"{SHARD}:{sequence}","eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:iam::123456789012:role/lambda-role","awsRegion":"us-east-1","eventSourceARN":"arn:aws:kinesis:us-east-1:123456789012:stream/ticks"}}"#
    ))
}

/// The text of event number `n`.
fn event(n: u32) -> Option<String> {
    let first = n * RECORDS + 1;
    let records: Option<Vec<String>> = (first..first + RECORDS).map(record).collect();
    Some(format!(r#"{{"Records":[{}]}}"#, records?.join(",")))
}

async fn handle(function: &Analytics, events: &[String]) {
    for text in events {
        let Ok(event) = serde_json::from_str::<KinesisEvent>(text) else {
            panic!("an event cannot be read");
        };
        match function.handle(event).await {
            Ok(response) => assert!(response.batch_item_failures.is_empty()),
            Err(error) => panic!("an event failed: {error}"),
        }
    }
}

fn function() -> Analytics {
    let shards = Arc::new(MemoryShards::default());
    shards.add_shard(SHARD, &[], 0..=u128::MAX);
    let clock: Arc<dyn app::ports::Clock> = Arc::new(|| START_MS);
    let analysis = Replayable {
        checkpoints: Arc::clone(&shards) as _,
        blocks: Arc::clone(&shards) as _,
        log: shards,
        feed: Arc::new(Nobody),
        clock: Arc::clone(&clock),
        settings: Settings::default(),
    };
    let metrics = InvocationMetrics::new(Written::default(), Arc::clone(&clock), "bench");
    Analytics::new(analysis, Arc::new(Nobody), clock, Arc::new(metrics))
}

fn main() {
    let events: Option<Vec<String>> = (0..WARM_UP_EVENTS + MEASURED_EVENTS).map(event).collect();
    let Some(events) = events else {
        panic!("the events cannot be made");
    };
    let (warm_up, measured) = events.split_at(WARM_UP_EVENTS as usize);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        panic!("there is no runtime");
    };
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("event");
    group.sample_size(10);
    group.throughput(Throughput::Elements(u64::from(MEASURED_EVENTS * RECORDS)));
    group.bench_function("500 records of 50 pairs", |bencher| {
        bencher.iter_batched_ref(
            || {
                let function = function();
                runtime.block_on(handle(&function, warm_up));
                function
            },
            |function| runtime.block_on(handle(function, measured)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    criterion.final_summary();
}
