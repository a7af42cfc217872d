//! The tables: the contracts of their ports, and reading back what was written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use app::analyse::{Analyser, AnalysisFeed, AnalysisUpdate};
use app::ports::{
    AnalyticsStore, Clock, CohortTick, LatestTicks, PutOutcome, StreamRecord, Subscribers,
    TickStore, Topic,
};
use async_trait::async_trait;
use aws::dynamodb::analytics::{ReadRange, TIMEOUT};
use aws::dynamodb::{AnalyticsTable, ConnectionTable, StoreTimeout, TickTable, TickTableConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use domain::Pair;
use domain::analytics::{AnalysisConfig, Interval};
use domain::{Tick, Token};
use integration::emulator;
use testkit::analysis::MemoryAnalytics;
use testkit::contract;
use testkit::ticks::{START_MS, in_cohort, tick, ticks};

const RETENTION_DAYS: u32 = 30;

/// The emulator shares its cores with other tests, so it gets more time than the half second of a
/// webhook.
const STORE_TIMEOUT: Duration = Duration::from_secs(20);

/// A clock with a fixed time.
struct FixedClock(i64);

impl Clock for FixedClock {
    fn now_ms(&self) -> i64 {
        self.0
    }
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock(START_MS))
}

/// A new table with two text keys.
async fn new_table(keys: [&str; 2]) -> (Client, String) {
    let emulator = emulator::start().await.unwrap();
    let client = Client::new(&emulator.sdk_config());
    let name = format!("{}-table", emulator.unique_project());
    let mut create = client
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest);
    for (key, kind) in keys.into_iter().zip([KeyType::Hash, KeyType::Range]) {
        let attribute = AttributeDefinition::builder()
            .attribute_name(key)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .unwrap();
        let element = KeySchemaElement::builder()
            .attribute_name(key)
            .key_type(kind)
            .build()
            .unwrap();
        create = create.attribute_definitions(attribute).key_schema(element);
    }
    create.send().await.unwrap();
    (client, name)
}

fn config(table: &str) -> TickTableConfig {
    TickTableConfig {
        table: table.to_owned(),
        retention_days: RETENTION_DAYS,
        timeout: StoreTimeout {
            base: STORE_TIMEOUT,
            max: STORE_TIMEOUT,
        },
        new_ids_from_ms: 0,
    }
}

async fn tick_table() -> (TickTable, Client, String) {
    let (client, name) = new_table(["pk", "sk"]).await;
    let table = TickTable::new(client.clone(), config(&name), clock());
    (table, client, name)
}

async fn analytics_table() -> AnalyticsTable {
    let (client, name) = new_table(["pk", "sk"]).await;
    AnalyticsTable::new(client, name, RETENTION_DAYS, TIMEOUT * 3, clock())
}

/// The items of a table, sorted by their text.
async fn items(client: &Client, table: &str) -> Vec<String> {
    let pages = client.scan().table_name(table).into_paginator().items();
    let items: Result<Vec<HashMap<String, AttributeValue>>, _> = pages.send().collect().await;
    let sorted = |item: HashMap<_, _>| BTreeMap::from_iter(item);
    let items = items.unwrap().into_iter().map(sorted);
    let mut items: Vec<String> = items.map(|item| format!("{item:?}")).collect();
    items.sort();
    items
}

#[tokio::test]
async fn the_table_of_ticks_keeps_the_contract_of_the_store() {
    let (table, ..) = tick_table().await;
    contract::tick_store(&table).await;
}

#[tokio::test]
async fn the_table_of_ticks_keeps_the_contract_of_the_latest() {
    let (table, ..) = tick_table().await;
    contract::latest_ticks(&table, START_MS).await;
    // Within five minutes of midnight, a clock ahead of ours is in tomorrow.
    let (client, name) = new_table(["pk", "sk"]).await;
    let midnight_ms = START_MS + 86_400_000;
    let clock = Arc::new(FixedClock(midnight_ms - 1_000));
    let table = TickTable::new(client, config(&name), clock);
    let ahead = Tick {
        timestamp_ms: midnight_ms + 30_000,
        ..tick("BTC", 1)
    };
    table.put(&in_cohort([&ahead])).await.unwrap();
    let found = table.latest(&Token::new("BTC").unwrap()).await.unwrap();
    assert_eq!(found, [ahead]);
}

#[tokio::test]
async fn a_replay_changes_no_item() {
    let (table, client, name) = tick_table().await;
    let sent = ticks(&["BTC", "ETH"], 40);
    let all: Vec<&Tick> = sent.iter().collect();
    let receipt = table.put(&in_cohort(all.iter().copied())).await.unwrap();
    assert_eq!(receipt.outcomes, vec![PutOutcome::Stored; 80]);
    assert_eq!(receipt.offer_again, []);
    let before = items(&client, &name).await;
    // Another process, later, with another decision.
    let later = TickTable::new(client.clone(), config(&name), clock());
    let again: Vec<CohortTick> = sent
        .iter()
        .map(|tick| CohortTick {
            tick: Tick {
                ingested_at_ms: tick.ingested_at_ms + 5_000,
                ..tick.clone()
            },
            in_cohort: false,
            arrival_stamped: false,
        })
        .collect();
    let receipt = later.put(&again).await.unwrap();
    assert_eq!(receipt.outcomes, vec![PutOutcome::Duplicate; 80]);
    let mut offered = receipt.offer_again;
    offered.sort_by_key(Tick::identity);
    let mut expected = sent.clone();
    expected.sort_by_key(Tick::identity);
    assert_eq!(offered, expected, "as stored");
    assert_eq!(items(&client, &name).await, before);
    let latest = table.latest(&Token::new("ETH").unwrap()).await.unwrap();
    assert_eq!(latest, [tick("ETH", 39)]);
}

#[tokio::test]
async fn concurrent_deliveries_of_an_arrival_stamped_event_are_one_item() {
    let (table, client, name) = tick_table().await;
    let delivered = |at_ms| Tick {
        timestamp_ms: at_ms,
        ingested_at_ms: at_ms,
        ..tick("BTC", 1)
    };
    let deliveries = (0..8).map(|n| {
        let (table, tick) = (table.clone(), delivered(START_MS + n));
        tokio::spawn(async move {
            let receipt = table.put(&in_cohort([&tick])).await.unwrap();
            // Whether a delivery finds the item of another one depends on their order.
            match receipt.outcomes[..] {
                [PutOutcome::Stored] => receipt
                    .retimed
                    .first()
                    .map_or(tick.timestamp_ms, |(_, at_ms)| *at_ms),
                [PutOutcome::Duplicate] => receipt.offer_again[0].timestamp_ms,
                _ => panic!("refused"),
            }
        })
    });
    let mut times = Vec::new();
    for delivery in deliveries.collect::<Vec<_>>() {
        times.push(delivery.await.unwrap());
    }
    assert!(times.iter().all(|at_ms| *at_ms == times[0]), "{times:?}");
    assert_eq!(
        items(&client, &name).await.len(),
        2,
        "the tick and its claim"
    );
}

#[tokio::test]
async fn the_table_of_the_analysis_keeps_its_contract() {
    contract::analytics_store(&analytics_table().await, true).await;
}

struct NoFeed;

#[async_trait]
impl AnalysisFeed for NoFeed {
    async fn publish(&self, _: AnalysisUpdate) {}
}

/// Ticks of three tokens, every third of them minutes late: more corrections of one pair than a
/// transaction allows. There is also a jump that is an anomaly.
fn market() -> Vec<StreamRecord> {
    let mut sent: Vec<Tick> = ticks(&["BTC", "ETH", "SOL"], 400);
    let (late, mut records): (Vec<Tick>, Vec<Tick>) = sent
        .drain(..)
        .partition(|tick| (tick.timestamp_ms / 1_000) % 3 == 0 && tick.token.as_str() == "BTC");
    records.extend(late);
    let jump = Tick {
        price: domain::Price::parse("9999").unwrap(),
        ..tick("ETH", 401)
    };
    records.push(jump);
    let numbered = (1_u64..).zip(records);
    numbered
        .map(|(n, tick)| StreamRecord {
            sequence: n.into(),
            tick,
        })
        .collect()
}

async fn analyse(store: Arc<dyn AnalyticsStore>, records: &[StreamRecord], batch: usize) {
    let feed = Arc::new(NoFeed);
    let config = AnalysisConfig {
        keep_members: true,
        ..AnalysisConfig::default()
    };
    let mut analyser = Analyser::new(0, store, feed, config);
    for batch in records.chunks(batch) {
        analyser.fold(batch).await.unwrap();
        analyser.commit().await.unwrap();
    }
}

#[tokio::test]
async fn candles_and_anomalies_equal_those_of_the_analysis_in_memory() {
    let (table, memory) = (
        analytics_table().await,
        Arc::new(MemoryAnalytics::default()),
    );
    let records = market();
    analyse(memory.clone(), &records, records.len()).await;
    analyse(Arc::new(table.clone()), &records, 700).await;
    // Again from the start, as after a lost checkpoint.
    analyse(Arc::new(table.clone()), &records, 300).await;
    // The stream holds all of them once more.
    let repeats: Vec<StreamRecord> = records
        .iter()
        .map(|record| StreamRecord {
            sequence: (record.sequence.count() + 100_000).into(),
            tick: record.tick.clone(),
        })
        .collect();
    analyse(Arc::new(table.clone()), &repeats, 500).await;

    let day = ReadRange {
        from_ms: START_MS,
        to_ms: START_MS + 86_400_000,
        limit: 10_000,
    };
    let expected = memory.candles();
    let mut compared = 0;
    for token in ["BTC", "ETH", "SOL"] {
        let pair = Pair::of(&tick(token, 0));
        for interval in Interval::ALL {
            let mut found = table.candles(&pair, interval, day).await.unwrap();
            let mut wanted: Vec<_> = expected
                .iter()
                .filter(|it| it.token == pair.token && it.interval == interval)
                .cloned()
                .collect();
            // The number of revisions of a candle depends on the batches, and so does the order of
            // its members.
            for candle in found.iter_mut().chain(&mut wanted) {
                candle.revision = 0;
                candle.members.sort();
                candle.quote_volume = (candle.quote_volume * 1e6).round() / 1e6;
            }
            assert_eq!(found, wanted, "{token} {interval}");
            compared += found.len();
        }
    }
    assert_eq!(compared, expected.len());
    let anomalies = table.anomalies(day).await.unwrap();
    assert_eq!(anomalies.len(), memory.anomalies(), "each is stored once");
    assert!(
        anomalies
            .iter()
            .any(|it| it.tick_id == tick("ETH", 401).tick_id)
    );
}

#[tokio::test]
async fn results_are_read_by_time_and_a_limit_keeps_the_latest() {
    let table = analytics_table().await;
    let records = market();
    analyse(Arc::new(table.clone()), &records, 700).await;
    let pair = Pair::of(&tick("SOL", 0));
    let range = |from_s: i64, to_s: i64, limit| ReadRange {
        from_ms: START_MS + from_s * 1_000,
        to_ms: START_MS + to_s * 1_000,
        limit,
    };
    let starts = async |range| {
        let found = table
            .candles(&pair, Interval::OneSecond, range)
            .await
            .unwrap();
        let starts = found.iter().map(|it| (it.start_ms - START_MS) / 1_000);
        starts.collect::<Vec<_>>()
    };
    assert_eq!(starts(range(10, 13, 100)).await, [10, 11, 12]);
    assert_eq!(starts(range(10, 300, 2)).await, [298, 299]);
    assert_eq!(starts(range(10, 10, 100)).await, [0_i64; 0]);
    assert_eq!(
        starts(range(-86_400, 2, 100)).await,
        [0, 1],
        "over midnight"
    );
    let long = range(0, 40 * 86_400, 100);
    let refused = table
        .candles(&pair, Interval::OneHour, long)
        .await
        .unwrap_err();
    assert!(!refused.retryable && refused.source.to_string().contains("at most 31"));
}

#[tokio::test]
async fn of_two_concurrent_analyses_of_a_shard_one_must_fold_again() {
    let table: Arc<dyn AnalyticsStore> = Arc::new(analytics_table().await);
    let records = market();
    let (first, rest) = records.split_at(600);
    let analyser = || {
        Analyser::new(
            0,
            table.clone(),
            Arc::new(NoFeed),
            AnalysisConfig::default(),
        )
    };
    let (mut one, mut other) = (analyser(), analyser());
    one.fold(first).await.unwrap();
    other.fold(first).await.unwrap();
    one.commit().await.unwrap();
    let error = other.commit().await.unwrap_err();
    assert!(error.retryable);
    assert!(
        error.source.to_string().contains("has changed"),
        "{}",
        error.source
    );
    other.fold(first).await.unwrap();
    other.fold(rest).await.unwrap();
    other.commit().await.unwrap();
    let pairs = ["BTC", "ETH", "SOL"].map(|token| Pair::of(&tick(token, 0)));
    let stored = table.load(0, &pairs).await.unwrap();
    let last = stored.iter().flatten().map(|it| it.last_sequence).max();
    assert_eq!(last, records.last().map(|it| it.sequence));
}

#[tokio::test]
async fn the_table_of_connections_keeps_its_contract() {
    let (client, name) = new_table(["topic", "connection_id"]).await;
    contract::subscribers(&ConnectionTable::new(client, name, 7_200, clock())).await;
}

#[tokio::test]
async fn an_expired_connection_has_no_subscriptions() {
    let (client, name) = new_table(["topic", "connection_id"]).await;
    let at = |now_ms| ConnectionTable::new(client.clone(), &name, 60, Arc::new(FixedClock(now_ms)));
    at(START_MS).subscribe("one", &[Topic::All]).await.unwrap();
    let watchers = async |now_ms| at(now_ms).watchers().await.unwrap().len();
    assert_eq!(watchers(START_MS + 59_000).await, 1);
    assert_eq!(watchers(START_MS + 60_000).await, 0);
}
