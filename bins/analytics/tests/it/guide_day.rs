//! A day of 10 million ticks of 5,000 tokens, played for a thousandth of the tokens by the function with its real
//! adapters: the units that AWS bills, beside those of `ops::bill`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use analytics::handler::Analytics;
use app::objects::Objects as _;
use app::ports::Clock;
use app::replay::{Replayable, Settings};
use aws::clients;
use aws::dynamodb::candle_blocks::TIMEOUT;
use aws::dynamodb::{CandleTable, ShardCheckpoints};
use aws::emf::InvocationMetrics;
use aws::sns::SnsTopic;
use aws::sqs::SqsFeed;
use aws_client::scripted_http::{Answer, Wire};
use domain::{Price, Tick, TickId, Token, Volume};
use ops::bill::{DAYS_PER_MONTH, blocks, units};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use testkit::memory_objects::MemoryObjects;
use testkit::replay::{MemoryShards, ONLY_SHARD};
use testkit::throttled_table::{ThrottledTable, UNLIMITED};
use testkit::ticks::{START_MS, tick};
use testkit::written::Written;

use crate::{Fakes, NONE, SHARD, data_of_all, event, failed};

/// The part of the case that is played.
const TOKENS: u32 = 5;
const TICKS_PER_TOKEN: u32 = 2_000;

/// A batch every two minutes instead of every second: what a batch costs does not depend on its size.
const BATCH_MS: i64 = 120_000;
const BATCHES: u32 = 720;

/// The services of the function, and what they bill.
struct Services {
    table: ThrottledTable,
    counted: Mutex<Counted>,
}

/// Units and bytes by operation.
#[derive(Debug, Default, Clone)]
struct Counted {
    calls: BTreeMap<String, u64>,
    written: BTreeMap<String, u64>,
    read: BTreeMap<String, u64>,
    result_messages: u64,
    result_bytes: usize,
}

impl Services {
    fn respond(&self, operation: &str, body: &Value) -> Answer {
        let mut counted = self.counted.lock().unwrap();
        *counted.calls.entry(operation.to_owned()).or_default() += 1;
        match operation {
            "SendMessageBatch" => {
                let entries = body["Entries"].as_array().unwrap();
                let bytes = |it: &Value| it["MessageBody"].as_str().unwrap().len();
                counted.result_bytes += entries.iter().map(bytes).sum::<usize>();
                counted.result_messages += entries.len() as u64;
                let sent =
                    |it: &Value| json!({"Id": it["Id"], "MessageId": "m", "MD5OfMessageBody": "-"});
                let sent: Vec<Value> = entries.iter().map(sent).collect();
                Answer::Good(json!({"Successful": sent, "Failed": []}))
            }
            _ => {
                let before = self.table.used();
                let answer = self.table.respond(operation, body, 0).unwrap();
                let after = self.table.used();
                let operation = operation.to_owned();
                *counted.written.entry(operation.clone()).or_default() +=
                    after.write - before.write;
                *counted.read.entry(operation).or_default() += after.read - before.read;
                Answer::Good(answer)
            }
        }
    }
}

/// The function, and what is around it.
struct Scene {
    services: Arc<Services>,
    snapshots: Arc<MemoryObjects>,
    output: Written,
    now_ms: Arc<AtomicI64>,
    function: Analytics,
    records: usize,
}

impl Scene {
    fn new() -> Self {
        let services = Arc::new(Services {
            table: ThrottledTable::new(UNLIMITED, UNLIMITED, 1),
            counted: Mutex::default(),
        });
        let held = Arc::clone(&services);
        let sdk = Wire::new(move |_, call| held.respond(&call.operation, &call.body)).config();
        let now_ms = Arc::new(AtomicI64::new(START_MS));
        let read = Arc::clone(&now_ms);
        let clock: Arc<dyn Clock> = Arc::new(move || read.load(Ordering::Relaxed));
        let (snapshots, shards): (Arc<MemoryObjects>, Arc<MemoryShards>) = Default::default();
        shards.add_shard(SHARD, &[], ONLY_SHARD.hash_keys);
        let (dynamodb, table, days) = (clients::dynamodb(&sdk), "analytics", 30);
        let candles = CandleTable::new(&dynamodb, table, days, TIMEOUT, Arc::clone(&clock));
        let people = SnsTopic::new(&clients::sns(&sdk), "arn:aws:sns:us-east-1:1:anomalies");
        let queue = "https://sqs.us-east-1.amazonaws.com/1/broadcast";
        let analysis = Replayable {
            checkpoints: Arc::new(ShardCheckpoints::new(
                (&dynamodb, table),
                Arc::clone(&snapshots) as _,
                days,
                TIMEOUT,
                Arc::clone(&clock),
            )),
            blocks: Arc::new(candles),
            log: shards,
            feed: Arc::new(SqsFeed::new(
                &clients::sqs(&sdk),
                queue,
                TIMEOUT,
                Arc::new(people),
            )),
            clock: Arc::clone(&clock),
            settings: Settings {
                records_per_snapshot: 4_000,
                ..Settings::default()
            },
        };
        let output = Written::default();
        let metrics = InvocationMetrics::new(output.clone(), Arc::clone(&clock), "t-analytics");
        let fakes = Arc::new(Fakes::default());
        Self {
            function: Analytics::new(analysis, fakes, clock, Arc::new(metrics)),
            services,
            snapshots,
            output,
            now_ms,
            records: 0,
        }
    }

    async fn batch(&mut self, ticks: &[Tick], now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::Relaxed);
        let data = data_of_all(ticks);
        let first = self.records + 1;
        self.records += data.len();
        assert_eq!(failed(&self.function, event(first, &data)).await, NONE);
    }

    fn counted(&self) -> Counted {
        self.services.counted.lock().unwrap().clone()
    }
}

/// A trade on Solana, where names are the longest.
fn trade(n: u32, token: u32, timestamp_ms: i64) -> Tick {
    Tick {
        tick_id: TickId::derive("guide", &[&n.to_string()]),
        token: Token::new(&format!(
            "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTD{token:03}"
        ))
        .unwrap(),
        quote: Token::new("So11111111111111111111111111111111111111112").unwrap(),
        price: Price::parse(&format!("0.00689{:05}", n.wrapping_mul(7_919) % 100_000)).unwrap(),
        volume: Some(
            Volume::parse(&format!("{}.567891", n.wrapping_mul(104_729) % 10_000)).unwrap(),
        ),
        timestamp_ms,
        ingested_at_ms: timestamp_ms + 40,
        ..tick("X", 0)
    }
}

#[track_caller]
fn near(what: &str, counted: f64, in_the_bill: f64, percent: f64) {
    let off = (counted / in_the_bill - 1.0).abs() * 100.0;
    assert!(
        off <= percent,
        "{what}: counted {counted:.2}, but ops::bill has {in_the_bill:.2}"
    );
}

/// Sizes of the items of blocks with so many candles, of so many ticks each.
async fn sizes(candles: i64, ticks: i64) -> f64 {
    const TOKENS: u32 = 20;
    let mut scene = Scene::new();
    let mut made = Vec::new();
    for n in 0..candles * ticks {
        for token in 0..TOKENS {
            let at_ms = START_MS + n / ticks * 60_000 + n % ticks * 9_000 + 777;
            let number = u32::try_from(n).unwrap() * TOKENS + token;
            made.push(trade(number, token, at_ms));
        }
    }
    scene.batch(&made, START_MS + 600_000).await;
    let later_ms = START_MS + 1_300_000;
    scene
        .batch(&[trade(1_000_000, 0, later_ms)], later_ms)
        .await;
    let blocks = scene.services.table.item_sizes("candles#");
    assert_eq!(blocks.len(), TOKENS as usize);
    blocks.iter().sum::<u64>() as f64 / f64::from(TOKENS)
}

#[tokio::test(start_paused = true)]
async fn a_block_has_the_bytes_of_the_bill() {
    let (one, singles, several) = (sizes(1, 1).await, sizes(10, 1).await, sizes(10, 2).await);
    println!("items with 1, 10 and 10 double candles: {one}, {singles}, {several} bytes");
    let bill = |singles: f64, several: f64, other_ticks: f64| {
        units::BLOCK_BYTES
            + units::SINGLE_TICK_CANDLE_BYTES * singles
            + units::CANDLE_BYTES * several
            + units::TICK_IN_BLOCK_BYTES * other_ticks
    };
    near("bytes of a candle", one, bill(1.0, 0.0, 0.0), 4.0);
    near("bytes of ten candles", singles, bill(10.0, 0.0, 0.0), 4.0);
    near(
        "bytes of ten candles of two ticks",
        several,
        bill(0.0, 10.0, 0.0),
        4.0,
    );
}

/// What a batch queues for the live feed, for a pair with one tick whose earlier candles end with it.
#[tokio::test(start_paused = true)]
async fn the_results_of_a_pair_have_the_bytes_of_the_bill() {
    const PAIRS: u32 = 50;
    let mut scene = Scene::new();
    let batch = |n: u32| -> Vec<Tick> {
        let at_ms = START_MS + i64::from(n) * 43_000;
        (0..PAIRS)
            .map(|token| trade(n * PAIRS + token, token, at_ms))
            .collect()
    };
    for n in 0..3 {
        scene
            .batch(&batch(n), START_MS + i64::from(n) * 43_000 + 500)
            .await;
    }
    let before = scene.counted().result_bytes;
    scene.batch(&batch(3), START_MS + 3 * 43_000 + 500).await;
    let bytes = scene.counted().result_bytes - before;
    near(
        "results of a pair",
        bytes as f64 / f64::from(PAIRS),
        units::RESULT_BYTES_PER_PAIR,
        2.0,
    );
}

fn bytes_of_candles(scene: &Scene) -> u64 {
    scene.services.table.item_sizes("candles#").iter().sum()
}

#[tokio::test(start_paused = true)]
async fn a_day_of_the_guides_case_uses_the_units_of_the_bill() {
    let mut scene = Scene::new();
    let mut random = StdRng::seed_from_u64(7);
    let count = TOKENS * TICKS_PER_TOKEN;
    let day_ms = BATCH_MS * i64::from(BATCHES);
    let mut times: Vec<i64> = (0..count).map(|_| random.random_range(0..day_ms)).collect();
    times.sort_unstable();
    let mut batches = 0.0;
    let mut ticks = times
        .iter()
        .zip(0..)
        .map(|(at_ms, n)| trade(n, random.random_range(0..TOKENS), START_MS + at_ms))
        .peekable();
    for number in 1..=i64::from(BATCHES) {
        let end_ms = START_MS + number * BATCH_MS;
        let batch: Vec<Tick> =
            std::iter::from_fn(|| ticks.next_if(|it| it.timestamp_ms < end_ms)).collect();
        if !batch.is_empty() {
            batches += 1.0;
            scene.batch(&batch, end_ms + 500).await;
        }
    }
    let counted = scene.counted();
    // The blocks of the last minutes are due with a later batch.
    let later_ms = START_MS + day_ms + 700_000;
    // A tick of that time would end a silence, which is an anomaly.
    scene
        .batch(&[trade(count, 0, START_MS + day_ms)], later_ms + 500)
        .await;
    let settled = scene.counted();
    println!("a thousandth of the tokens: {count} ticks, {settled:?}");

    let of = |units: &BTreeMap<String, u64>, operation: &str| {
        units.get(operation).copied().unwrap_or(0) as f64
    };
    let head_reads = of(&counted.read, "BatchGetItem");
    near(
        "reads a batch",
        head_reads / batches,
        units::READ_UNITS_PER_BATCH,
        0.0,
    );
    let head_writes = of(&counted.calls, "UpdateItem") - scene.snapshots.writes() as f64;
    near(
        "writes a batch",
        head_writes / batches,
        units::WRITE_UNITS_PER_BATCH,
        0.0,
    );

    let ticks_a_month = f64::from(count) * DAYS_PER_MONTH;
    let expected = blocks(ticks_a_month, f64::from(TOKENS), 10.0);
    let stored = of(&settled.calls, "PutItem");
    near("blocks", stored, expected.stored / DAYS_PER_MONTH, 1.0);
    println!(
        "of which the bill has {expected:?} a month, candles of {} bytes",
        bytes_of_candles(&scene)
    );
    near(
        "write units of candles",
        of(&settled.written, "PutItem"),
        expected.write_units / DAYS_PER_MONTH,
        5.0,
    );
    let bytes = bytes_of_candles(&scene);
    near(
        "bytes of candles",
        bytes as f64,
        expected.bytes / DAYS_PER_MONTH,
        3.0,
    );
    near(
        "messages of results",
        counted.result_messages as f64 / batches,
        units::RESULT_MESSAGES_PER_BATCH,
        1.0,
    );
    let snapshots = scene.snapshots.list("").await.unwrap();
    let snapshot = snapshots.iter().map(|it| it.bytes).max().unwrap() as f64;
    near(
        "a pair in a snapshot",
        snapshot / f64::from(TOKENS),
        units::SNAPSHOT_BYTES_PER_PAIR,
        10.0,
    );
    assert!(scene.output.bytes().is_empty(), "nothing is logged");
    let settings = Settings::default();
    assert!(
        (settings.records_per_snapshot as f64 - units::RECORDS_PER_SNAPSHOT).abs() < 0.5
            && (settings.states_bytes_max as f64 - units::PAIRS_IN_MEMORY_MAX * 17_000.0).abs()
                < 0.5
    );
}
