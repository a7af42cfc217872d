//! The functions on AWS: the webhook's write path on the table of ticks, and the analytics function
//! behind the event source, on models of DynamoDB's tables that throttle by the second.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use analytics::handler::Analytics;
use app::analyse::{AnalysisFeed, AnalysisUpdate};
use app::ingest::Ingest;
use app::ports::{CohortTick, OutboxId, PortError, Refused, SequenceNumber, TickStream};
use app::recent_offers::RecentOffers;
use async_trait::async_trait;
use aws::dynamodb::analytics::ReadRange;
use aws::dynamodb::{AnalyticsTable, StoreTimeout, TickTable, TickTableConfig};
use aws::emf::InvocationMetrics;
use aws_client::scripted_http::{Answer as Response, Wire};
use codec::tick_columns::{COLUMNS, Kind};
use domain::analytics::Interval;
use domain::{Pair, Tick};
use integration::event_source::answer::{Answer, outcome};
use integration::event_source::event::{Origin, invocation};
use integration::event_source::mapping::MappingSettings;
use integration::event_source::record::Record;
use integration::event_source::shard::{Batch, Shard, Step as ShardStep};
use proptest::prelude::*;
use serde_json::{Map, Value};
use testkit::throttled_table::{OF_PARTITION, ThrottledTable, UNLIMITED, Units};
use tokio::time::Instant;

use crate::ports::{Ignored, Life, Mortal, Queue};
use crate::reference::Outcome;
use crate::run::{Outside, System, play};
use crate::scenario::{START_MS, Weather, scenario};

/// A capacity of a few ticks a second.
const SCARCE: Units = Units { write: 3, read: 9 };

const SHARDS: usize = 2;

/// A stream in memory, with a shard for each half of the tokens.
#[derive(Default)]
struct Stream {
    shards: [Mutex<Vec<Tick>>; SHARDS],
}

#[async_trait]
impl TickStream for Stream {
    async fn append(
        &self,
        ticks: &[&Tick],
        _: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        for tick in ticks {
            let shard = tick.token.as_str().len() + usize::from(tick.token.as_str() == "ETH");
            self.shards[shard % SHARDS]
                .lock()
                .unwrap()
                .push((*tick).clone());
        }
        Ok(Vec::new())
    }
}

struct NoFeed;

#[async_trait]
impl AnalysisFeed for NoFeed {
    async fn publish(&self, _: AnalysisUpdate) {}
}

/// A model of a table, and a client for it.
struct Table {
    model: Arc<ThrottledTable>,
    client: aws_sdk_dynamodb::Client,
}

impl Table {
    fn new(seed: u64) -> Self {
        let model = Arc::new(ThrottledTable::new(UNLIMITED, OF_PARTITION, seed));
        let (held, start) = (Arc::clone(&model), Instant::now());
        let wire = Wire::new(move |_, call| {
            let second = start.elapsed().as_secs();
            match held.respond(&call.operation, &call.body, second) {
                Ok(answer) => Response::Good(answer),
                Err(refusal) => Response::Refused(400, refusal.body()),
            }
        });
        Self {
            model,
            client: aws_sdk_dynamodb::Client::new(&wire.config()),
        }
    }
}

/// What a webhook's process keeps between deliveries.
struct Webhook {
    table: Arc<TickTable>,
    recent: Arc<RecentOffers>,
}

struct Cloud {
    outside: Outside,
    webhook: Webhook,
    redriven: Arc<Queue>,
    stream: Arc<Stream>,
    ticks: Table,
    analytics: Table,
    shards: [(Shard, usize); SHARDS],
    function: Analytics,
    /// Whether a function that fails does so before its work.
    fails_early: bool,
}

/// The settings of the mapping between stream and function.
fn mapping() -> MappingSettings {
    MappingSettings {
        batch_records_max: 5,
        bisect: true,
        partial_failures: true,
        ..MappingSettings::default()
    }
}

impl Cloud {
    fn new(outside: &Outside, seed: u64) -> Self {
        let (ticks, analytics) = (Table::new(seed), Table::new(seed + 1));
        Self {
            webhook: webhook(&ticks, outside),
            function: function(&analytics, outside),
            shards: [0, 1].map(|_| (Shard::new(mapping()), 0)),
            outside: outside.clone(),
            redriven: Arc::default(),
            stream: Arc::default(),
            ticks,
            analytics,
            fails_early: seed.is_multiple_of(2),
        }
    }

    fn is_idle(&self) -> bool {
        let mut shards = self.shards.iter().zip(&self.stream.shards);
        shards.all(|((reader, offered), ticks)| {
            reader.is_idle() && *offered == ticks.lock().unwrap().len()
        })
    }

    /// Invokes the function with a batch. Perhaps it ends before or after its work, so that the batch
    /// is delivered again.
    async fn invoke(&mut self, shard: usize, batch: &Batch, fails: bool) -> Answer {
        if fails && self.fails_early {
            return Answer::Raised("before its work".to_owned());
        }
        let origin = Origin {
            stream_arn: "arn:stream".to_owned(),
            shard_id: format!("shardId-{shard:012}"),
            function_arn: "arn:function".to_owned(),
            region: "us-east-1".to_owned(),
        };
        let event = serde_json::from_value(invocation(&origin, batch));
        let response = self.function.handle(event.unwrap()).await;
        if fails {
            // Another instance continues.
            self.function = function(&self.analytics, &self.outside);
            return Answer::Raised("after its work".to_owned());
        }
        match response {
            Ok(response) => Answer::Returned(serde_json::to_value(response).unwrap()),
            Err(error) => Answer::Raised(error.to_string()),
        }
    }

    /// Offers new records of the stream to the event source.
    fn offer(&mut self, shard: usize, now_ms: i64) {
        let (reader, offered) = &mut self.shards[shard];
        let ticks = self.stream.shards[shard].lock().unwrap();
        let records = ticks
            .iter()
            .enumerate()
            .skip(*offered)
            .map(|(index, tick)| {
                let mut data = Vec::new();
                codec::json::write_json(tick, &mut data);
                Record {
                    sequence_number: SequenceNumber::from(index as u64 + 1),
                    arrival_ms: now_ms,
                    partition_key: tick.token.to_string(),
                    data,
                }
            });
        reader.offer(records.collect(), now_ms).unwrap();
        *offered = ticks.len();
    }
}

impl System for Cloud {
    fn ingest(&self, life: &Arc<Life>) -> Ingest {
        Ingest {
            store: Arc::new(mortal(life, &self.webhook.table)),
            stream: Arc::new(mortal(life, &self.stream)),
            broadcast: Arc::clone(&self.outside.announced) as _,
            redrive: Some(Arc::new(mortal(life, &self.redriven))),
            quarantine: Arc::new(Ignored),
            ledger: Arc::new(Ignored),
            flag: Arc::clone(&self.outside.flag) as _,
            clock: Arc::clone(&self.outside.clock) as _,
            new_ids_from_ms: 0,
            settings: Arc::default(),
            recent_offers: Arc::clone(&self.webhook.recent),
        }
    }

    fn restart(&mut self) {
        self.webhook = webhook(&self.ticks, &self.outside);
    }

    fn weather(&mut self, weather: Weather) {
        let limit = if weather.throttled { SCARCE } else { UNLIMITED };
        self.ticks.model.limit(limit);
    }

    async fn advanced(&mut self, ms: i64) {
        tokio::time::advance(Duration::from_millis(ms.unsigned_abs())).await;
    }

    /// The event source invokes the function with up to so many batches of each shard.
    async fn analyse(&mut self, batches_max: usize, fails: bool) {
        for shard in 0..SHARDS {
            for number in 0..batches_max {
                let now_ms = self.outside.clock.0.load(Ordering::Relaxed);
                self.offer(shard, now_ms);
                let answer = match self.shards[shard].0.step(now_ms) {
                    ShardStep::Read => break,
                    ShardStep::WaitUntil(until_ms) => {
                        let clock = &self.outside.clock.0;
                        clock.fetch_max(until_ms, Ordering::Relaxed);
                        continue;
                    }
                    ShardStep::GiveUp(batch, condition) => panic!("{batch:?} {condition:?}"),
                    ShardStep::Invoke(batch) => {
                        self.invoke(shard, &batch, fails && number == 0).await
                    }
                };
                let outcome = outcome(&mapping(), &answer);
                self.shards[shard].0.answered(&outcome, now_ms).unwrap();
            }
        }
    }

    /// That is Firehose's part; it writes the stream.
    async fn archive(&mut self) {}

    async fn stored(&self) -> Vec<CohortTick> {
        let items = self.ticks.model.items();
        let of_ticks = items
            .iter()
            .filter(|((pk, _), _)| !pk.starts_with("claim#"));
        of_ticks.map(|(_, item)| decided(item)).collect()
    }

    async fn finish(&mut self) -> Outcome {
        // The redrive queue delivers each message at least once; here, twice.
        let redriven = std::mem::take(&mut *self.redriven.0.lock().unwrap());
        let again: Vec<&Tick> = redriven.iter().chain(&redriven).collect();
        self.stream.append(&again, None).await.unwrap();
        while !self.is_idle() {
            self.analyse(100, false).await;
        }
        let mut outcome = Outcome::default();
        for shard in &self.stream.shards {
            let ticks = shard.lock().unwrap();
            outcome.streamed.extend(ticks.iter().cloned());
        }
        let pairs: BTreeSet<Pair> = outcome.streamed.iter().map(Pair::of).collect();
        let table = analytics_table(&self.analytics, &self.outside);
        for pair in &pairs {
            for interval in Interval::ALL {
                let range = ReadRange {
                    from_ms: START_MS - 10_000_000,
                    to_ms: START_MS + 10_000_000,
                    limit: 10_000,
                };
                let candles = table.candles(pair, interval, range).await.unwrap();
                outcome.candles.extend(candles);
            }
        }
        outcome
    }
}

fn webhook(ticks: &Table, outside: &Outside) -> Webhook {
    let config = TickTableConfig {
        table: "ticks".to_owned(),
        retention_days: 30,
        timeout: StoreTimeout::default(),
        new_ids_from_ms: 0,
    };
    let clock = Arc::clone(&outside.clock) as _;
    Webhook {
        table: Arc::new(TickTable::new(ticks.client.clone(), config, clock)),
        recent: Arc::default(),
    }
}

fn mortal<T>(life: &Arc<Life>, port: &Arc<T>) -> Mortal<T> {
    Mortal {
        life: Arc::clone(life),
        is_remote: true,
        port: Arc::clone(port),
    }
}

fn function(analytics: &Table, outside: &Outside) -> Analytics {
    let table = analytics_table(analytics, outside);
    let clock = Arc::clone(&outside.clock);
    let metrics = InvocationMetrics::new(std::io::sink(), Arc::clone(&clock) as _, "analytics");
    Analytics::new(
        Arc::new(table),
        Arc::new(NoFeed),
        Arc::new(Ignored),
        clock,
        Arc::new(metrics),
    )
}

fn analytics_table(analytics: &Table, outside: &Outside) -> AnalyticsTable {
    let within = Duration::from_secs(10);
    AnalyticsTable::new(
        analytics.client.clone(),
        "analytics",
        30,
        within,
        Arc::clone(&outside.clock) as _,
    )
}

/// The tick of an item, read without the adapter.
fn decided(item: &Map<String, Value>) -> CohortTick {
    let mut fields = Map::new();
    for column in COLUMNS {
        let Some(value) = item.get(column.json) else {
            continue;
        };
        let value = match column.kind {
            Kind::Text => value["S"].clone(),
            Kind::Amount => value["N"].clone(),
            Kind::Integer | Kind::EpochMs => {
                value["N"].as_str().unwrap().parse::<i64>().unwrap().into()
            }
        };
        fields.insert(column.json.to_owned(), value);
    }
    let text = Value::Object(fields).to_string();
    CohortTick {
        tick: codec::json::from_json(text.as_bytes()).unwrap(),
        in_cohort: item["in_cohort"]["BOOL"].as_bool().unwrap(),
        arrival_stamped: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, ..ProptestConfig::default() })]

    #[test]
    fn each_tick_counts_once_on_aws(scenario in scenario()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let outside = Outside::new();
            let mut cloud = Cloud::new(&outside, scenario.seed % 1_000);
            play(&mut cloud, &outside, &scenario).await;
        });
    }
}
