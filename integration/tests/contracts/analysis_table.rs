//! The table of the analysis with its snapshots: the contracts of their ports, and the same results as in memory, on the
//! emulator and on dynalite.

use std::sync::Arc;

use app::analyse::{AnalysisFeed, AnalysisUpdate};
use app::ports::{SequenceNumber, StreamRecord};
use app::replay::{Blocks, Checkpoints, Replayable, Settings, ShardMemory};
use app::unarchived_anomalies::UnarchivedAnomalies as _;
use archive::AnomalyArchive;
use async_trait::async_trait;
use aws::archive::S3Objects;
use aws::dynamodb::candle_blocks::ReadRange;
use aws::dynamodb::shard_heads::SNAPSHOT_PREFIX;
use aws::dynamodb::{CandleTable, ShardCheckpoints, UnarchivedDays};
use aws_sdk_dynamodb::Client;
use domain::analytics::{Anomaly, Interval};
use domain::{Pair, Price, Tick};
use integration::emulator;
use testkit::anomalies::jump_at;
use testkit::contract;
use testkit::memory_objects::MemoryObjects;
use testkit::replay::{MemoryShards, expected_candles};
use testkit::ticks::{START_MS, tick, ticks};

use crate::dynamodb::{RETENTION_DAYS, STORE_TIMEOUT, new_tables};

const SHARD: &str = "shardId-000000000000";

/// Long after all ticks, so that candles are stored at once.
fn now_ms() -> i64 {
    START_MS + 86_400_000
}

async fn all_adapters() -> Vec<(Arc<CandleTable>, Arc<ShardCheckpoints>)> {
    let mut all = Vec::new();
    for (client, table) in new_tables(["pk", "sk"]).await {
        all.push(adapters(client, table).await);
    }
    all
}

async fn adapters(client: Client, table: String) -> (Arc<CandleTable>, Arc<ShardCheckpoints>) {
    let emulator = emulator::start().await.unwrap();
    let (s3, bucket) = (
        emulator.s3(),
        format!("{}-archive", emulator.unique_project()),
    );
    s3.create_bucket().bucket(&bucket).send().await.unwrap();
    let clock = Arc::new(now_ms);
    let candles = CandleTable::new(
        &client,
        &table,
        RETENTION_DAYS,
        STORE_TIMEOUT,
        Arc::clone(&clock) as _,
    );
    let checkpoints = ShardCheckpoints::new(
        (&client, table),
        Arc::new(S3Objects::new(&s3, bucket, SNAPSHOT_PREFIX)),
        RETENTION_DAYS,
        STORE_TIMEOUT,
        clock,
    );
    (Arc::new(candles), Arc::new(checkpoints))
}

#[tokio::test]
async fn the_table_of_the_analysis_keeps_its_contracts() {
    for (candles, checkpoints) in all_adapters().await {
        contract::blocks(candles.as_ref()).await;
        contract::checkpoints(checkpoints.as_ref()).await;
    }
}

struct NoFeed;

#[async_trait]
impl AnalysisFeed for NoFeed {
    async fn publish(&self, _: AnalysisUpdate) {}
}

/// Ticks of three tokens, every third of one of them minutes late, and a jump that is an anomaly.
fn market() -> Vec<Tick> {
    let (late, mut sent): (Vec<Tick>, Vec<Tick>) = ticks(&["BTC", "ETH", "SOL"], 400)
        .into_iter()
        .partition(|it| (it.timestamp_ms / 1_000) % 3 == 0 && it.token.as_str() == "BTC");
    sent.extend(late);
    sent.push(Tick {
        price: Price::parse("9999").unwrap(),
        ..tick("ETH", 401)
    });
    sent
}

/// The records of the stream, which holds all ticks twice.
fn records(log: &MemoryShards) -> Vec<StreamRecord> {
    let (once, again) = (market(), market());
    let all = once.into_iter().chain(again);
    let appended = all.map(|tick| StreamRecord {
        sequence: log.append(SHARD, &tick),
        tick,
    });
    appended.collect()
}

fn analysis(
    (blocks, checkpoints): (Arc<dyn Blocks>, Arc<dyn Checkpoints>),
    log: &Arc<MemoryShards>,
) -> Replayable {
    Replayable {
        checkpoints,
        blocks,
        log: Arc::clone(log) as _,
        feed: Arc::new(NoFeed),
        clock: Arc::new(now_ms),
        settings: Settings {
            interval: Interval::OneSecond,
            delay_ms: 0,
            records_per_snapshot: 900,
            ..Settings::default()
        },
    }
}

#[tokio::test]
async fn candles_and_anomalies_equal_those_of_the_analysis_in_memory() {
    let log = Arc::new(MemoryShards::default());
    log.add_shard(SHARD, &[], 0..=u128::MAX);
    let records = records(&log);
    let memory = analysis((Arc::clone(&log) as _, Arc::clone(&log) as _), &log);
    memory
        .analyse(&mut ShardMemory::default(), SHARD, &records)
        .await
        .unwrap();
    for (candles, checkpoints) in all_adapters().await {
        check(&log, &records, &candles, &checkpoints).await;
    }
}

async fn check(
    log: &Arc<MemoryShards>,
    records: &[StreamRecord],
    candles: &Arc<CandleTable>,
    checkpoints: &Arc<ShardCheckpoints>,
) {
    // By two instances in turns, the second of which is often a new one.
    let of_aws = analysis(
        (Arc::clone(candles) as _, Arc::clone(checkpoints) as _),
        log,
    );
    let mut kept = [ShardMemory::default(), ShardMemory::default()];
    for (turn, batch) in records.chunks(400).enumerate() {
        let kept = &mut kept[turn % 2];
        of_aws.analyse(kept, SHARD, batch).await.unwrap();
        // Lambda may deliver a batch again, though it succeeded.
        of_aws.analyse(kept, SHARD, batch).await.unwrap();
    }
    of_aws.settle(SHARD).await.unwrap();
    let head = checkpoints.head(SHARD).await.unwrap().unwrap();
    assert_eq!(head.last, SequenceNumber::from(records.len() as u64));

    let day = ReadRange {
        from_ms: START_MS,
        to_ms: START_MS + 86_400_000,
        limit: 10_000,
    };
    for interval in Interval::ALL {
        let mut found = Vec::new();
        for token in ["BTC", "ETH", "SOL"] {
            let pair = Pair::of(&tick(token, 0));
            found.extend(candles.candles(&pair, interval, day).await.unwrap());
        }
        let mut expected = expected_candles(&market(), interval);
        assert_eq!(found.len(), expected.len(), "{interval}");
        for candle in found.iter_mut().chain(&mut expected) {
            // Which ticks are late depends on their order, and so do the last digits of a double.
            candle.revision = 0;
            for series in &mut candle.series {
                series.values.quote_volume = (series.values.quote_volume * 1e3).round() / 1e3;
            }
        }
        assert_eq!(found, expected, "{interval}");
    }
    let anomalies = candles.anomalies(day).await.unwrap();
    assert_eq!(anomalies.len(), log.anomalies(), "each is stored once");
    let jump = tick("ETH", 401).tick_id;
    assert!(anomalies.iter().any(|it| it.tick_id == jump));
}

/// A day is listed with its anomalies until the archive has them, and again once there are more.
#[tokio::test]
async fn days_with_new_anomalies_are_listed_until_they_are_archived() {
    for (client, table) in new_tables(["pk", "sk"]).await {
        let clock = Arc::new(now_ms);
        let candles = CandleTable::new(&client, &table, RETENTION_DAYS, STORE_TIMEOUT, clock);
        let unarchived = UnarchivedDays::new(&client, &table);
        assert_eq!(unarchived.days().await.unwrap(), []);
        candles.put_anomalies(&[]).await.unwrap();
        assert_eq!(unarchived.days().await.unwrap(), []);
        let of = |number: u32, timestamp_ms| Anomaly {
            timestamp_ms,
            ..jump_at(&tick("BTC", number))
        };
        let first = of(1, START_MS);
        let (second, next_day) = (of(2, START_MS + 1), of(3, START_MS + 86_400_000));
        let both = [first.clone(), next_day.clone()];
        candles.put_anomalies(&both).await.unwrap();
        let listed = unarchived.days().await.unwrap();
        let days: Vec<&str> = listed.iter().map(|it| it.day.as_str()).collect();
        assert_eq!(days, ["2026-01-01", "2026-01-02"]);
        // Stored after the listing: the day stays listed.
        candles
            .put_anomalies(std::slice::from_ref(&second))
            .await
            .unwrap();
        unarchived.archived(&listed[0]).await.unwrap();
        assert_eq!(unarchived.days().await.unwrap().len(), 2);
        let of_day = unarchived.of_day("2026-01-01").await.unwrap();
        assert_eq!(of_day, [first, second.clone()]);
        let archive = AnomalyArchive::new(Arc::new(MemoryObjects::default()));
        assert_eq!(archive.add_unarchived(&unarchived).await.unwrap(), 3);
        assert_eq!(unarchived.days().await.unwrap(), []);
        // A batch that is analysed again lists its day again, and adds nothing.
        candles.put_anomalies(&[second]).await.unwrap();
        assert_eq!(archive.add_unarchived(&unarchived).await.unwrap(), 0);
        assert_eq!(unarchived.days().await.unwrap(), []);
    }
}
