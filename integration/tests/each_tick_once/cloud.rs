//! The functions on AWS: the webhook's write path on the table of ticks, and the analytics function
//! behind the event source, on models of DynamoDB's tables that throttle by the second.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use analytics::handler::Analytics;
use app::analyse::{AnalysisFeed, AnalysisUpdate};
use app::ingest::{Ingest, IngestError};
use app::ports::{CohortTick, OutboxId, PortError, Refused, SequenceNumber, TickStream};
use async_trait::async_trait;
use aws::dynamodb::analytics::ReadRange;
use aws::dynamodb::{AnalyticsTable, StoreTimeout, TickTable, TickTableConfig};
use aws_client::scripted_http::{Answer as Response, Wire};
use codec::tick_columns::{COLUMNS, Kind};
use domain::analytics::Interval;
use domain::{Pair, Rollout, Tick};
use integration::event_source::answer::{Answer, outcome};
use integration::event_source::event::{Origin, invocation};
use integration::event_source::mapping::MappingSettings;
use integration::event_source::record::Record;
use integration::event_source::shard::{Outcome as Invoked, Shard, Step as ShardStep};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use testkit::throttled_table::{OF_PARTITION, ThrottledTable, UNLIMITED, Units};
use tokio::time::Instant;

use crate::ports::{Announced, Ignored, Life, Mortal, Redriven, RunClock, RunFlag};
use crate::reference::{History, Outcome, check};
use crate::scenario::{START_MS, Scenario, Step, Weather, body, scenario};

/// A table that takes a few ticks a second.
const SCARCE: Units = Units { write: 3, read: 9 };

const FAIR: Weather = Weather {
    dies_at_call: None,
    after_effect: false,
    lost_answers: 0,
    stream_refuses: false,
    throttled: false,
};

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

/// A table that throttles while it is told to.
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
                Err(refusal) => {
                    let reasons = refusal.reasons.iter().map(|code| json!({ "Code": code }));
                    let reasons: Vec<Value> = reasons.collect();
                    let body = json!({
                        "__type": refusal.code, "message": "", "CancellationReasons": reasons,
                    });
                    Response::Refused(400, body)
                }
            }
        });
        Self {
            model,
            client: aws_sdk_dynamodb::Client::new(&wire.config()),
        }
    }
}

struct World {
    clock: Arc<RunClock>,
    flag: Arc<RunFlag>,
    announced: Arc<Announced>,
    redriven: Arc<Redriven>,
    stream: Arc<Stream>,
    ticks: Table,
    analytics: Table,
    shards: [(Shard, usize); SHARDS],
    function: Analytics,
    history: History,
}

/// What a webhook's process keeps between deliveries.
struct Process {
    table: Arc<TickTable>,
    recent: Arc<app::recent_offers::RecentOffers>,
}

impl World {
    fn new(seed: u64) -> Self {
        let clock = Arc::new(RunClock(AtomicI64::new(START_MS)));
        let rollout = Rollout {
            use_kinesis: true,
            percentage: "50".parse().unwrap(),
            key: domain::RolloutKey::Tick,
        };
        let analytics = Table::new(seed + 1);
        let settings = MappingSettings {
            batch_records_max: 5,
            bisect: true,
            partial_failures: true,
            ..MappingSettings::default()
        };
        Self {
            function: function(&analytics, &clock),
            shards: [0, 1].map(|_| (Shard::new(settings.clone()), 0)),
            clock,
            flag: Arc::new(RunFlag(Mutex::new(rollout))),
            announced: Arc::default(),
            redriven: Arc::default(),
            stream: Arc::default(),
            ticks: Table::new(seed),
            analytics,
            history: History::default(),
        }
    }

    fn start(&self) -> Process {
        let config = TickTableConfig {
            table: "ticks".to_owned(),
            retention_days: 30,
            timeout: StoreTimeout::default(),
            new_ids_from_ms: 0,
        };
        let table = TickTable::new(
            self.ticks.client.clone(),
            config,
            Arc::clone(&self.clock) as _,
        );
        Process {
            table: Arc::new(table),
            recent: Arc::default(),
        }
    }

    /// Delivers; returns whether it was accepted, or `None` if the process died.
    async fn deliver(&mut self, process: &Process, body: &[u8], weather: Weather) -> Option<bool> {
        let source = sources::find("ticks").unwrap();
        let flag = *self.flag.0.lock().unwrap();
        let now_ms = self.clock.0.load(Ordering::Relaxed);
        for entry in source.parse(body, now_ms).unwrap() {
            let sources::Entry::Tick(tick) = entry else {
                panic!("{entry:?}")
            };
            self.history.tries.push((tick, flag));
        }
        let limit = if weather.throttled { SCARCE } else { UNLIMITED };
        self.ticks.model.limit(limit);
        let life = Life::new(weather);
        let ingest = Ingest {
            store: Arc::new(mortal(&life, &process.table)),
            stream: Arc::new(mortal(&life, &self.stream)),
            broadcast: Arc::clone(&self.announced) as _,
            redrive: Some(Arc::new(mortal(&life, &self.redriven))),
            quarantine: Arc::new(Ignored),
            ledger: Arc::new(Ignored),
            flag: Arc::clone(&self.flag) as _,
            clock: Arc::clone(&self.clock) as _,
            new_ids_from_ms: 0,
            recent_offers: Arc::clone(&process.recent),
        };
        tokio::select! {
            answer = ingest.deliver(source, body) => match answer {
                Ok(_) => Some(true),
                Err(IngestError::NotStored(_)) => Some(false),
                Err(error) => panic!("{error}"),
            },
            () = life.died.notified() => None,
        }
    }

    /// The event source hands the function up to so many batches of each shard. Perhaps the function
    /// ends after its work, or before it, so that the batch is delivered again.
    async fn analyse(&mut self, batches_max: usize, fails: bool, seed: u64) {
        for shard in 0..SHARDS {
            for number in 0..batches_max {
                let now_ms = self.clock.0.load(Ordering::Relaxed);
                self.offer(shard, now_ms);
                let answer = match self.shards[shard].0.step(now_ms) {
                    ShardStep::Read => break,
                    ShardStep::WaitUntil(until_ms) => {
                        self.clock.0.fetch_max(until_ms, Ordering::Relaxed);
                        continue;
                    }
                    ShardStep::GiveUp(batch, condition) => panic!("{batch:?} {condition:?}"),
                    ShardStep::Invoke(batch) => {
                        let origin = Origin {
                            stream_arn: "arn:stream".to_owned(),
                            shard_id: format!("shardId-{shard:012}"),
                            function_arn: "arn:function".to_owned(),
                            region: "us-east-1".to_owned(),
                        };
                        if fails && number == 0 && seed.is_multiple_of(2) {
                            Answer::Raised("before it began".to_owned())
                        } else {
                            let event = serde_json::from_value(invocation(&origin, &batch));
                            let response = self.function.handle(event.unwrap()).await.unwrap();
                            if fails && number == 0 {
                                // Another instance continues.
                                self.function = function(&self.analytics, &self.clock);
                                Answer::Raised("after its work".to_owned())
                            } else {
                                Answer::Returned(serde_json::to_value(response).unwrap())
                            }
                        }
                    }
                };
                let settings = MappingSettings {
                    partial_failures: true,
                    ..MappingSettings::default()
                };
                let done: Invoked = outcome(&settings, &answer);
                self.shards[shard].0.answered(&done, now_ms).unwrap();
            }
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

    fn stored(&self) -> Vec<CohortTick> {
        let items = self.ticks.model.items();
        let of_ticks = items
            .iter()
            .filter(|((pk, _), _)| !pk.starts_with("claim#"));
        of_ticks.map(|(_, item)| decided(item)).collect()
    }
}

fn mortal<T>(life: &Arc<Life>, port: &Arc<T>) -> Mortal<T> {
    Mortal {
        life: Arc::clone(life),
        is_remote: true,
        port: Arc::clone(port),
    }
}

fn function(analytics: &Table, clock: &Arc<RunClock>) -> Analytics {
    let table = analytics_table(analytics, clock);
    let clock = Arc::clone(clock) as _;
    Analytics::new(Arc::new(table), Arc::new(NoFeed), Arc::new(Ignored), clock)
}

fn analytics_table(analytics: &Table, clock: &Arc<RunClock>) -> AnalyticsTable {
    let within = Duration::from_secs(10);
    AnalyticsTable::new(
        analytics.client.clone(),
        "analytics",
        30,
        within,
        Arc::clone(clock) as _,
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
    }
}

async fn run(scenario: Scenario) {
    let mut world = World::new(scenario.seed % 1_000);
    let mut process = world.start();
    let mut unaccepted: Vec<Vec<u8>> = Vec::new();
    for step in &scenario.steps {
        match step {
            Step::Deliver(indices, weather) => {
                let events: Vec<_> = indices
                    .iter()
                    .map(|at| scenario.events[*at].clone())
                    .collect();
                let body = body(&events);
                let accepted = world.deliver(&process, &body, *weather).await;
                if accepted != Some(true) {
                    unaccepted.push(body);
                }
                if accepted.is_none() {
                    process = world.start();
                }
            }
            Step::Flag(rollout) => *world.flag.0.lock().unwrap() = *rollout,
            Step::Crash => process = world.start(),
            Step::Advance(ms) => {
                world.clock.0.fetch_add(*ms, Ordering::Relaxed);
                tokio::time::advance(Duration::from_millis(ms.unsigned_abs())).await;
            }
            Step::Analyse(batches_max, fails) => {
                world.analyse(*batches_max, *fails, scenario.seed).await;
            }
            // Firehose's part; what it writes is the stream.
            Step::Archive => {}
        }
        let stored = world.stored();
        world.history.observe(&stored);
    }
    for body in unaccepted {
        assert_eq!(world.deliver(&process, &body, FAIR).await, Some(true));
    }
    // The redrive queue delivers each message at least once; here, twice.
    let redriven = std::mem::take(&mut *world.redriven.0.lock().unwrap());
    let again: Vec<&Tick> = redriven.iter().chain(&redriven).collect();
    world.stream.append(&again, None).await.unwrap();
    let is_idle = |world: &World| {
        let mut shards = world.shards.iter().zip(&world.stream.shards);
        shards.all(|((reader, offered), ticks)| {
            reader.is_idle() && *offered == ticks.lock().unwrap().len()
        })
    };
    while !is_idle(&world) {
        world.analyse(100, false, 1).await;
    }
    let mut outcome = Outcome {
        stored: world.stored(),
        announced: world.announced.0.lock().unwrap().clone(),
        ..Outcome::default()
    };
    world.history.observe(&outcome.stored);
    for shard in &world.stream.shards {
        outcome
            .streamed
            .extend(shard.lock().unwrap().iter().cloned());
    }
    let mut pairs: Vec<Pair> = outcome.stored.iter().map(|it| Pair::of(&it.tick)).collect();
    pairs.sort();
    pairs.dedup();
    let table = analytics_table(&world.analytics, &world.clock);
    for pair in &pairs {
        for interval in Interval::ALL {
            let range = ReadRange {
                from_ms: START_MS - 10_000_000,
                to_ms: START_MS + 10_000_000,
                limit: 10_000,
            };
            outcome
                .candles
                .extend(table.candles(pair, interval, range).await.unwrap());
        }
    }
    check(&world.history, &outcome);
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
        runtime.block_on(run(scenario));
    }
}
