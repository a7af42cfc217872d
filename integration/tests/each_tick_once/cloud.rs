//! The functions on AWS: the webhook's write path on the table of ticks, and two instances of the analytics function
//! behind the event source, on models of DynamoDB's tables that throttle by the second. Instances end, calls of the
//! analysis find its table throttled, and snapshots are lost.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use analytics::handler::Analytics;
use app::analyse::{AnalysisFeed, AnalysisUpdate};
use app::ingest::Ingest;
use app::objects::Objects as _;
use app::ports::{Clock, CohortTick, OutboxId, PortError, Refused, SequenceNumber, TickStream};
use app::recent_offers::RecentOffers;
use app::replay::{Lineage, Replayable, ReplayedRecords, Settings, ShardLog};
use async_trait::async_trait;
use aws::dynamodb::candle_blocks::{ReadRange, TIMEOUT};
use aws::dynamodb::{CandleTable, ShardCheckpoints, StoreTimeout, TickTable, TickTableConfig};
use aws::emf::InvocationMetrics;
use aws_client::scripted_http::{Answer as Response, Wire};
use aws_sdk_dynamodb::Client;
use codec::tick_columns::{COLUMNS, Kind};
use domain::analytics::Interval;
use domain::{Pair, Tick, Token};
use integration::event_source::answer::{Answer, outcome};
use integration::event_source::event::{Origin, invocation};
use integration::event_source::mapping::MappingSettings;
use integration::event_source::record::Record;
use integration::event_source::shard::{Batch, Shard, Step as ShardStep};
use proptest::prelude::*;
use serde_json::{Map, Value};
use testkit::memory_objects::MemoryObjects;
use testkit::replay::ONLY_SHARD;
use testkit::throttled_table::{OF_PARTITION, THROTTLED, ThrottledTable, UNLIMITED, Units};
use tokio::time::Instant;

use crate::ports::{Ignored, Life, Mortal, Queue};
use crate::reference::Outcome;
use crate::run::{Outside, System, play};
use crate::scenario::{START_MS, Weather, scenario};

/// A capacity of a few ticks a second.
const SCARCE: Units = Units { write: 3, read: 9 };

pub(crate) const SHARDS: usize = 2;

const INSTANCES: usize = 2;

/// More than a block takes from its first tick until it is stored.
const SETTLED_AFTER_MS: i64 = 700_000;

/// A call reads at least 8 records of a shard again, and a run has fewer than 800.
const SETTLE_CALLS_MAX: usize = 100;

/// More than the blocks of a shard need.
const SETTLES: usize = 4;

/// A stream in memory, with a shard for each half of the tokens.
#[derive(Default)]
pub(crate) struct Stream {
    pub(crate) shards: [Mutex<Vec<Tick>>; SHARDS],
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

impl Stream {
    /// The records of a shard, numbered from 1.
    pub(crate) fn records(&self, shard: usize) -> Vec<(SequenceNumber, Tick)> {
        let ticks = self.shards[shard].lock().unwrap();
        let numbered = (1_u64..).zip(ticks.iter().cloned());
        numbered.map(|(n, tick)| (n.into(), tick)).collect()
    }
}

pub(crate) fn name_of(shard: usize) -> String {
    format!("shardId-{shard:012}")
}

pub(crate) fn data_of(tick: &Tick) -> Vec<u8> {
    let mut data = Vec::new();
    codec::json::write_json(tick, &mut data);
    data
}

#[async_trait]
impl ShardLog for Stream {
    async fn between(
        &self,
        shard: &str,
        after: SequenceNumber,
        before: Option<SequenceNumber>,
    ) -> Result<ReplayedRecords, PortError> {
        const RECORDS_PER_READ_MAX: usize = 4;
        let shard = (0..SHARDS).find(|it| name_of(*it) == shard).unwrap();
        let mut records = self.records(shard);
        records.retain(|(sequence, _)| {
            *sequence > after && before.is_none_or(|before| *sequence < before)
        });
        let complete = records.len() <= RECORDS_PER_READ_MAX;
        let records = records.into_iter().take(RECORDS_PER_READ_MAX);
        Ok(ReplayedRecords {
            records: records
                .map(|(sequence, tick)| (sequence, data_of(&tick)))
                .collect(),
            complete,
        })
    }

    async fn shards(&self) -> Result<Vec<String>, PortError> {
        Ok((0..SHARDS).map(name_of).collect())
    }

    async fn lineage(&self, _: &str) -> Result<Lineage, PortError> {
        Ok(ONLY_SHARD)
    }

    fn hash_key(&self, _: &Token) -> u128 {
        0
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
    client: Client,
    /// Calls until all are throttled.
    calls_left: Arc<AtomicU32>,
}

impl Table {
    fn new(seed: u64) -> Self {
        let model = Arc::new(ThrottledTable::new(UNLIMITED, OF_PARTITION, seed));
        let (held, start) = (Arc::clone(&model), Instant::now());
        let calls_left = Arc::new(AtomicU32::new(u32::MAX));
        let left = Arc::clone(&calls_left);
        let wire = Wire::new(move |_, call| {
            let passes = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
            if passes.is_err() {
                let body =
                    serde_json::json!({ "__type": THROTTLED, "message": "a fault of the test" });
                return Response::Refused(400, body);
            }
            let second = start.elapsed().as_secs();
            match held.respond(&call.operation, &call.body, second) {
                Ok(answer) => Response::Good(answer),
                Err(refusal) => Response::Refused(400, refusal.body()),
            }
        });
        Self {
            model,
            client: Client::new(&wire.config()),
            calls_left,
        }
    }

    fn throttle_after(&self, calls: u32) {
        self.calls_left.store(calls, Ordering::Relaxed);
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
    snapshots: Arc<MemoryObjects>,
    shards: [(Shard, usize); SHARDS],
    instances: [Analytics; INSTANCES],
    invocations: u32,
    fails: Fails,
    loses_snapshots: bool,
}

/// When a function fails.
#[derive(Clone, Copy)]
enum Fails {
    BeforeItsWork,
    WhileItsTableIsThrottled,
    AfterItsWork,
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
        let (snapshots, stream): (Arc<MemoryObjects>, Arc<Stream>) = Default::default();
        let instance = |_| instance(&analytics, &snapshots, &stream, outside);
        Self {
            webhook: webhook(&ticks, outside),
            instances: std::array::from_fn(instance),
            invocations: 0,
            shards: [0, 1].map(|_| (Shard::new(mapping()), 0)),
            outside: outside.clone(),
            redriven: Arc::default(),
            stream,
            ticks,
            analytics,
            snapshots,
            fails: match seed % 3 {
                0 => Fails::BeforeItsWork,
                1 => Fails::WhileItsTableIsThrottled,
                _ => Fails::AfterItsWork,
            },
            loses_snapshots: seed.is_multiple_of(2),
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
        // In turns, since Lambda ties no shard to an instance.
        self.invocations += 1;
        let number = self.invocations as usize % INSTANCES;
        match self.fails {
            _ if !fails => {}
            Fails::BeforeItsWork => return Answer::Raised("before its work".to_owned()),
            Fails::WhileItsTableIsThrottled => {
                self.analytics.throttle_after(self.invocations % 7);
            }
            Fails::AfterItsWork => {}
        }
        let origin = Origin {
            stream_arn: "arn:stream".to_owned(),
            shard_id: name_of(shard),
            function_arn: "arn:function".to_owned(),
            region: "us-east-1".to_owned(),
        };
        let event = serde_json::from_value(invocation(&origin, batch));
        let response = self.instances[number].handle(event.unwrap()).await;
        self.analytics.throttle_after(u32::MAX);
        if fails && matches!(self.fails, Fails::AfterItsWork) {
            self.instances[number] = self.instance();
            return Answer::Raised("after its work".to_owned());
        }
        match response {
            Ok(response) => Answer::Returned(serde_json::to_value(response).unwrap()),
            Err(error) => Answer::Raised(error.to_string()),
        }
    }

    fn instance(&self) -> Analytics {
        instance(
            &self.analytics,
            &self.snapshots,
            &self.stream,
            &self.outside,
        )
    }

    /// The schedule calls an instance until it has read again all that it needs: a call reads so many records at most,
    /// and the next one continues.
    async fn settle(&self, instance: usize) {
        for _ in 0..SETTLE_CALLS_MAX {
            match self.instances[instance].settle().await {
                Ok(()) => return,
                Err(error) if error.retryable => {}
                Err(error) => panic!("{error}: {}", error.source),
            }
        }
        panic!("an instance reads its shards again without end");
    }

    /// Offers new records of the stream to the event source.
    fn offer(&mut self, shard: usize, now_ms: i64) {
        let (reader, offered) = &mut self.shards[shard];
        let all = self.stream.records(shard);
        let records = all.iter().skip(*offered).map(|(sequence, tick)| Record {
            sequence_number: *sequence,
            arrival_ms: now_ms,
            partition_key: tick.token.to_string(),
            data: data_of(tick),
        });
        reader.offer(records.collect(), now_ms).unwrap();
        *offered = all.len();
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
        if fails && self.loses_snapshots {
            let mut names = self.snapshots.names();
            // All, or those of some positions.
            names.retain(|name| batches_max > 6 || name.ends_with(['1', '3', '6', '8']));
            self.snapshots.delete(&names).await.unwrap();
        }
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
        for number in 0..SETTLES {
            self.outside
                .clock
                .0
                .fetch_add(SETTLED_AFTER_MS, Ordering::Relaxed);
            self.settle(number % INSTANCES).await;
        }
        let mut outcome = Outcome::default();
        for shard in &self.stream.shards {
            let ticks = shard.lock().unwrap();
            outcome.streamed.extend(ticks.iter().cloned());
        }
        let pairs: BTreeSet<Pair> = outcome.streamed.iter().map(Pair::of).collect();
        let clock = Arc::clone(&self.outside.clock) as _;
        let table = candle_table(&self.analytics.client, &clock);
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
    let clock = Arc::clone(&outside.clock) as _;
    Webhook {
        table: Arc::new(tick_table(&ticks.client, &clock)),
        recent: Arc::default(),
    }
}

pub(crate) fn tick_table(client: &Client, clock: &Arc<dyn Clock>) -> TickTable {
    let config = TickTableConfig {
        table: "ticks".to_owned(),
        retention_days: 30,
        timeout: StoreTimeout::default(),
        new_ids_from_ms: 0,
    };
    TickTable::new(client.clone(), config, Arc::clone(clock))
}

fn mortal<T>(life: &Arc<Life>, port: &Arc<T>) -> Mortal<T> {
    Mortal {
        life: Arc::clone(life),
        is_remote: true,
        port: Arc::clone(port),
    }
}

/// An instance that makes snapshots, and forgets pairs, often.
fn instance(
    analytics: &Table,
    snapshots: &Arc<MemoryObjects>,
    stream: &Arc<Stream>,
    outside: &Outside,
) -> Analytics {
    let settings = Settings {
        interval: Interval::OneSecond,
        records_per_snapshot: 4,
        blocks_per_batch_max: 8,
        // About two pairs.
        states_bytes_max: 40_000,
        ..Settings::default()
    };
    let clock = Arc::clone(&outside.clock) as _;
    function(&analytics.client, snapshots, stream, &clock, settings)
}

pub(crate) fn function(
    client: &Client,
    snapshots: &Arc<MemoryObjects>,
    stream: &Arc<Stream>,
    clock: &Arc<dyn Clock>,
    settings: Settings,
) -> Analytics {
    let metrics = InvocationMetrics::new(std::io::sink(), Arc::clone(clock), "analytics");
    let analysis = Replayable {
        checkpoints: Arc::new(ShardCheckpoints::new(
            (client, "analytics"),
            Arc::clone(snapshots) as _,
            30,
            TIMEOUT,
            Arc::clone(clock),
        )),
        blocks: Arc::new(candle_table(client, clock)),
        log: Arc::clone(stream) as _,
        feed: Arc::new(NoFeed),
        clock: Arc::clone(clock),
        settings,
    };
    let clock = Arc::clone(clock);
    Analytics::new(analysis, Arc::new(Ignored), clock, Arc::new(metrics))
}

pub(crate) fn candle_table(client: &Client, clock: &Arc<dyn Clock>) -> CandleTable {
    CandleTable::new(client, "analytics", 30, TIMEOUT, Arc::clone(clock))
}

/// The tick of an item, read without the adapter.
pub(crate) fn decided(item: &Map<String, Value>) -> CohortTick {
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
    #![proptest_config(ProptestConfig { cases: 3_000, max_shrink_iters: 300, ..ProptestConfig::default() })]

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
