//! The table of the analysis on a model of DynamoDB, and the snapshots in memory.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use app::ports::SequenceNumber;
use app::replay::{Blocks as _, Checkpoints as _, StoredBlock};
use aws::dynamodb::candle_blocks::{ReadRange, TIMEOUT};
use aws::dynamodb::{CandleTable, ShardCheckpoints};
use aws::emf::InvocationMetrics;
use aws_client::client::BATCH;
use aws_client::scripted_http::{Answer, Wire};
use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::Client;
use domain::analytics::{Candle, CandleBlock, Interval, SeriesKind};
use domain::{Pair, Tick};
use serde_json::{Value, json};
use testkit::contract;
use testkit::memory_objects::MemoryObjects;
use testkit::replay::expected_candles;
use testkit::throttled_table::{OF_PARTITION, ThrottledTable, UNLIMITED, Units};
use testkit::ticks::{START_MS, tick};
use tokio::time::Instant;

use crate::throttled_ticks::wire_of;

const MINUTE_MS: i64 = 60_000;

/// A table of the analysis with its client.
struct Scene {
    model: Arc<ThrottledTable>,
    client: Client,
}

impl Scene {
    fn new(of_table: Units) -> Self {
        let model = Arc::new(ThrottledTable::new(of_table, OF_PARTITION, 1));
        let wire = wire_of(Arc::clone(&model), Instant::now(), |_| {});
        Self {
            model,
            client: Client::new(&wire.config()),
        }
    }

    fn candles(&self) -> CandleTable {
        CandleTable::new(
            &self.client,
            "analytics",
            30,
            TIMEOUT,
            Arc::new(|| START_MS),
        )
    }

    fn checkpoints(&self, snapshots: &Arc<MemoryObjects>) -> ShardCheckpoints {
        ShardCheckpoints::new(
            (&self.client, "analytics"),
            Arc::clone(snapshots) as _,
            30,
            TIMEOUT,
            Arc::new(|| START_MS),
        )
    }
}

/// A tick a minute over some hours.
fn by_minutes(token: &str, minutes: u32) -> Vec<Tick> {
    let made = (0..minutes).map(|n| Tick {
        timestamp_ms: START_MS + i64::from(n) * MINUTE_MS,
        ..tick(token, n)
    });
    made.collect()
}

fn blocks(ticks: &[Tick]) -> Vec<StoredBlock> {
    let mut blocks: Vec<StoredBlock> = Vec::new();
    for tick in ticks {
        let start_ms = CandleBlock::start_of(tick.timestamp_ms);
        if blocks
            .last()
            .is_none_or(|it| it.block.start_ms() != start_ms)
        {
            blocks.push(StoredBlock {
                block: CandleBlock::new(Pair::of(tick), Interval::OneMinute, start_ms),
                position: SequenceNumber::from(7),
            });
        }
        blocks.last_mut().unwrap().block.add(tick, false);
    }
    blocks
}

async fn put(table: &CandleTable, blocks: &[StoredBlock]) {
    for outcome in table.put(blocks).await {
        outcome.unwrap();
    }
}

fn range(from_minute: i64, to_minute: i64, limit: usize) -> ReadRange {
    ReadRange {
        from_ms: START_MS + from_minute * MINUTE_MS,
        to_ms: START_MS + to_minute * MINUTE_MS,
        limit,
    }
}

fn minutes(candles: &[Candle]) -> Vec<i64> {
    let starts = candles
        .iter()
        .map(|it| (it.start_ms - START_MS) / MINUTE_MS);
    starts.collect()
}

#[tokio::test(start_paused = true)]
async fn the_contracts_are_kept() {
    let scene = Scene::new(UNLIMITED);
    contract::blocks(&scene.candles()).await;
    contract::checkpoints(&scene.checkpoints(&Arc::default())).await;
}

#[tokio::test(start_paused = true)]
async fn blocks_that_a_small_table_throttles_are_stored() {
    let small = Units {
        write: 20,
        read: 20,
    };
    let scene = Scene::new(small);
    let stored = blocks(&by_minutes("BTC", 600));
    put(&scene.candles(), &stored).await;
    let found = scene.candles().blocks(&keys(&stored)).await.unwrap();
    let found: Vec<StoredBlock> = found.into_iter().flatten().collect();
    assert_eq!(found, stored);
}

fn keys(blocks: &[StoredBlock]) -> Vec<(Pair, i64)> {
    let key = |it: &StoredBlock| (it.block.pair().clone(), it.block.start_ms());
    blocks.iter().map(key).collect()
}

#[tokio::test(start_paused = true)]
async fn candles_are_read_by_time_and_a_limit_keeps_the_latest() {
    let scene = Scene::new(UNLIMITED);
    let table = scene.candles();
    let made = by_minutes("BTC", 100);
    put(&table, &blocks(&made)).await;
    put(&table, &blocks(&by_minutes("BTC-2", 5))).await;
    let pair = Pair::of(&made[0]);
    let read = async |interval, range| table.candles(&pair, interval, range).await.unwrap();

    let all = read(Interval::OneMinute, range(-1_440, 1_440, 1_000)).await;
    assert_eq!(all, expected_candles(&made, Interval::OneMinute));
    let of_minutes = async |range| minutes(&read(Interval::OneMinute, range).await);
    assert_eq!(of_minutes(range(8, 12, 100)).await, [8, 9, 10, 11]);
    assert_eq!(of_minutes(range(8, 1_000, 2)).await, [98, 99]);
    assert_eq!(of_minutes(range(8, 8, 100)).await, [0_i64; 0]);
    // Candles are not divided.
    assert!(
        read(Interval::OneSecond, range(0, 100, 100))
            .await
            .is_empty()
    );

    let long = table.candles(&pair, Interval::OneHour, range(0, 40 * 1_440, 1));
    let refused = long.await.unwrap_err();
    assert!(!refused.retryable && refused.source.to_string().contains("at most 31"));
}

/// With the client of a process, which has attempts left; the loops of the port would only retry what they send.
#[tokio::test(start_paused = true)]
async fn a_read_of_results_is_tried_again() {
    let scene = Scene::new(UNLIMITED);
    let made = by_minutes("BTC", 3);
    put(&scene.candles(), &blocks(&made)).await;
    let (model, queries) = (Arc::clone(&scene.model), AtomicU32::new(0));
    let wire = Wire::new(move |_, call| {
        if call.operation == "Query" && queries.fetch_add(1, Ordering::Relaxed) % 2 == 0 {
            let body = json!({"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"});
            return Answer::Refused(500, body);
        }
        match model.respond(&call.operation, &call.body, 0) {
            Ok(answer) => Answer::Good(answer),
            Err(refusal) => Answer::Refused(400, refusal.body()),
        }
    });
    let retries = RetryConfig::standard().with_max_attempts(BATCH.attempts_max);
    let config = wire.config().into_builder().retry_config(retries).build();
    let table = Scene {
        client: Client::new(&config),
        ..scene
    }
    .candles();
    let pair = Pair::of(&made[0]);
    let read = table.candles(&pair, Interval::OneMinute, range(0, 10, 10));
    assert_eq!(minutes(&read.await.unwrap()), [0, 1, 2]);
    assert_eq!(table.anomalies(range(0, 10, 10)).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn longer_candles_are_merged_from_the_stored_ones() {
    let scene = Scene::new(UNLIMITED);
    let table = scene.candles();
    let made = by_minutes("BTC", 130);
    put(&table, &blocks(&made)).await;
    let pair = Pair::of(&made[0]);
    let read = async |interval, range| table.candles(&pair, interval, range).await.unwrap();

    let hours = read(Interval::OneHour, range(0, 180, 100)).await;
    assert_eq!(minutes(&hours), [0, 60, 120]);
    let hour = hours[1].of_kind(SeriesKind::Trades).unwrap();
    let counts: Vec<u64> = hours.iter().map(Candle::tick_count).collect();
    assert_eq!(counts, [60, 60, 10]);
    assert_eq!((hour.open, hour.close), (made[60].price, made[119].price));
    let prices = made[60..120].iter().map(|it| it.price);
    assert_eq!(Some(hour.high), prices.max());
    // An hour that begins in the range is whole, although the range ends within it.
    assert_eq!(
        read(Interval::OneHour, range(60, 61, 100)).await,
        [hours[1].clone()]
    );
    assert_eq!(
        minutes(&read(Interval::FiveMinutes, range(7, 60, 3)).await),
        [45, 50, 55]
    );
}

#[tokio::test(start_paused = true)]
async fn a_damaged_block_is_set_aside_and_the_others_are_read() {
    let scene = Scene::new(UNLIMITED);
    let output = Output::default();
    let metrics = InvocationMetrics::new(output.clone(), Arc::new(|| START_MS), "analytics");
    let metrics = Arc::new(metrics);
    let table = scene.candles().with_metrics(Arc::clone(&metrics));
    let stored = blocks(&by_minutes("BTC", 30));
    put(&table, &stored).await;
    let place = stored[1].block.start_ms().to_string();
    let (_, mut item) = scene
        .model
        .items()
        .into_iter()
        .find(|((_, sort), _)| sort.ends_with(&place))
        .unwrap();
    item.insert("series".to_owned(), json!({ "B": "AAAA" }));
    scene.model.set(Value::Object(item));

    let newest = table
        .newest(&[stored[0].block.pair().clone()])
        .await
        .unwrap();
    assert_eq!(newest, [vec![stored[2].clone(), stored[0].clone()]]);
    let found = table.blocks(&keys(&stored)).await.unwrap();
    assert_eq!(
        found,
        [Some(stored[0].clone()), None, Some(stored[2].clone())]
    );
    metrics.flush();
    let line: Value = serde_json::from_slice(&output.0.lock().unwrap()).unwrap();
    assert_eq!(line["StatesSetAside"], 2, "once for each read");
    // It is replaced by what is stored next.
    put(&table, &stored[1..2]).await;
    let found = table.blocks(&keys(&stored)).await.unwrap();
    assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), stored);
}

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn old_snapshots_are_deleted_and_one_of_the_same_position_is_replaced() {
    let scene = Scene::new(UNLIMITED);
    let snapshots: Arc<MemoryObjects> = Arc::default();
    let table = scene.checkpoints(&snapshots);
    let at = SequenceNumber::from;
    assert!(table.advance("s", None, at(90)).await.unwrap());
    for position in [10, 20, 30, 40] {
        table.save("s", at(position), vec![1]).await.unwrap();
    }
    let named: Vec<String> = [30, 40].map(|it| format!("s/{}", at(it).padded())).into();
    assert_eq!(snapshots.names(), named);
    table.save("s", at(40), vec![2]).await.unwrap();
    assert_eq!(snapshots.names(), named);
    assert_eq!(table.load(&named[1]).await.unwrap(), Some(vec![2]));
    let head = table.head("s").await.unwrap().unwrap();
    let positions: Vec<u64> = head
        .snapshots
        .iter()
        .map(|it| it.position.count())
        .collect();
    assert_eq!(positions[0], 40);
}

#[tokio::test(start_paused = true)]
async fn a_head_costs_one_write_unit_a_batch() {
    let scene = Scene::new(UNLIMITED);
    let table = scene.checkpoints(&Arc::default());
    let at = SequenceNumber::from;
    let mut base = None;
    for to in 1..=20 {
        assert!(
            table
                .advance("shardId-000000000001", base, at(to))
                .await
                .unwrap()
        );
        base = Some(at(to));
    }
    assert_eq!(scene.model.used().write, 20);
}
