//! The tables of ticks and connections: the contracts of their ports, and reading back what was written, on the emulator
//! and on dynalite.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use app::ports::{Clock, CohortTick, LatestTicks, PutOutcome, Subscribers, TickStore, Topic};
use aws::dynamodb::{ConnectionTable, StoreTimeout, TickTable, TickTableConfig};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType, TableStatus,
};
use domain::{Tick, Token};
use integration::aws_parts::Part;
use integration::emulator;
use testkit::contract;
use testkit::ticks::{START_MS, in_cohort, tick, ticks};

pub(crate) const RETENTION_DAYS: u32 = 30;

/// The emulator shares its cores with other tests, so it gets more time than the half second of a
/// webhook.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a table may take to be created.
const ACTIVE_WITHIN: Duration = Duration::from_secs(60);

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

/// A new table with two text keys on each service that can run here: the emulator always, and dynalite.
pub(crate) async fn new_tables(keys: [&str; 2]) -> Vec<(Client, String)> {
    let emulator = emulator::start().await.unwrap();
    let dynalite = dynalite("the tables' contracts on a second implementation").await;
    let mut tables = Vec::new();
    for config in [Some(emulator.sdk_config()), dynalite] {
        let Some(config) = config else { continue };
        let client = Client::new(&config);
        let name = new_table(&client, keys).await;
        tables.push((client, name));
    }
    tables
}

pub(crate) async fn dynalite(unshown: &str) -> Option<SdkConfig> {
    Part::Dynalite.start(unshown).await.unwrap()
}

pub(crate) async fn new_table(client: &Client, keys: [&str; 2]) -> String {
    let name = format!("{}-table", emulator::unique_project());
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
    let active = async {
        loop {
            let described = client.describe_table().table_name(&name).send().await;
            let table = described.unwrap().table.unwrap();
            if table.table_status() == Some(&TableStatus::Active) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(ACTIVE_WITHIN, active).await.unwrap();
    name
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

fn tick_table(client: &Client, name: &str) -> TickTable {
    TickTable::new(client.clone(), config(name), clock())
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
    for (client, name) in new_tables(["pk", "sk"]).await {
        let table = tick_table(&client, &name);
        contract::tick_store(&table).await;
    }
}

#[tokio::test]
async fn the_table_of_ticks_keeps_the_contract_of_the_latest() {
    for (client, name) in new_tables(["pk", "sk"]).await {
        let table = tick_table(&client, &name);
        contract::latest_ticks(&table, START_MS).await;
        // Within five minutes of midnight, a clock ahead of ours is in tomorrow.
        let name = new_table(&client, ["pk", "sk"]).await;
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
}

#[tokio::test]
async fn a_replay_changes_no_item() {
    for (client, name) in new_tables(["pk", "sk"]).await {
        let table = tick_table(&client, &name);
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
}

#[tokio::test]
async fn concurrent_deliveries_of_an_arrival_stamped_event_are_one_item() {
    for (client, name) in new_tables(["pk", "sk"]).await {
        let table = tick_table(&client, &name);
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
}

#[tokio::test]
async fn the_table_of_connections_keeps_its_contract() {
    for (client, name) in new_tables(["topic", "connection_id"]).await {
        contract::subscribers(&ConnectionTable::new(client, name, 7_200, clock())).await;
    }
}

#[tokio::test]
async fn an_expired_connection_has_no_subscriptions() {
    for (client, name) in new_tables(["topic", "connection_id"]).await {
        let at =
            |now_ms| ConnectionTable::new(client.clone(), &name, 60, Arc::new(FixedClock(now_ms)));
        at(START_MS).subscribe("one", &[Topic::All]).await.unwrap();
        let watchers = async |now_ms| at(now_ms).watchers().await.unwrap().len();
        assert_eq!(watchers(START_MS + 59_000).await, 1);
        assert_eq!(watchers(START_MS + 60_000).await, 0);
    }
}
