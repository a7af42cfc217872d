//! Deliveries to a table that throttles: each ends, each tick is stored once, and the stream has it
//! once if the same process retries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::ingest::{Ingest, IngestError};
use app::ledger::LedgerEntry;
use app::ports::{
    Clock, CohortTick, LedgerWriter, OutboxId, PortError, Quarantine, Quarantined, Refused,
    RolloutFlag, TickQueue, TickStore, TickStream,
};
use async_trait::async_trait;
use aws::dynamodb::{StoreTimeout, TickTable, TickTableConfig};
use aws_client::scripted_http::{Answer, Wire};
use aws_sdk_dynamodb::Client;
use domain::{Percentage, Rollout, RolloutKey, Tick};
use serde_json::{Value, json};
use sources::ParseContext;
use testkit::throttled_table::{OF_PARTITION, ThrottledTable, UNLIMITED, Units};
use testkit::ticks::START_MS;
use tokio::time::Instant;

/// A sender retries a second after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// More tries than any case needs.
const TRIES_MAX: usize = 40;

/// Responds like the model; its seconds begin at `start`.
pub(crate) fn wire_of(
    model: Arc<ThrottledTable>,
    start: Instant,
    sent: impl Fn(Instant) + Send + Sync + 'static,
) -> Wire {
    Wire::new(move |_, call| {
        sent(call.sent);
        let second = start.elapsed().as_secs();
        match model.respond(&call.operation, &call.body, second) {
            Ok(answer) => Answer::Good(answer),
            Err(refusal) => Answer::Refused(400, refusal.body()),
        }
    })
}

/// What stream or queue got.
#[derive(Default)]
struct Recorder {
    ticks: Mutex<Vec<Tick>>,
    is_down: AtomicBool,
}

impl Recorder {
    fn take(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(PortError {
                operation: "take",
                retryable: true,
                source: "a fault of the test".into(),
            });
        }
        let mut held = self.ticks.lock().unwrap();
        held.extend(ticks.iter().map(|tick| (*tick).clone()));
        Ok(Vec::new())
    }

    fn count(&self) -> usize {
        self.ticks.lock().unwrap().len()
    }

    /// The different ticks.
    fn different(&self) -> usize {
        let held = self.ticks.lock().unwrap();
        let mut identities: Vec<_> = held.iter().map(Tick::identity).collect();
        identities.sort();
        identities.dedup();
        identities.len()
    }
}

#[async_trait]
impl TickStream for Recorder {
    async fn append(
        &self,
        ticks: &[&Tick],
        _: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        self.take(ticks)
    }
}

#[async_trait]
impl TickQueue for Recorder {
    async fn send(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        self.take(ticks)
    }
}

struct Nowhere;

#[async_trait]
impl Quarantine for Nowhere {
    async fn keep(&self, entries: &[Quarantined]) -> Result<(), PortError> {
        assert!(entries.is_empty(), "{entries:?}");
        Ok(())
    }
}

#[async_trait]
impl LedgerWriter for Nowhere {
    async fn commit(&self, _: Option<OutboxId>, _: LedgerEntry) -> Result<(), PortError> {
        Ok(())
    }
}

struct Share(Mutex<Percentage>);

#[async_trait]
impl RolloutFlag for Share {
    async fn current(&self) -> Rollout {
        Rollout {
            use_kinesis: true,
            percentage: *self.0.lock().unwrap(),
            key: RolloutKey::Tick,
        }
    }
}

struct Scene {
    model: Arc<ThrottledTable>,
    wire: Wire,
    /// When calls were sent.
    sent: Arc<Mutex<Vec<Instant>>>,
    start: Instant,
    stream: Arc<Recorder>,
    broadcast: Arc<Recorder>,
    share: Arc<Share>,
    /// Whether one process handles all tries.
    is_one_process: bool,
}

impl Scene {
    /// A table with these units, whose calls take 8 ms.
    fn new(of_table: Units, of_partition: Units, seed: u64) -> Self {
        let model = Arc::new(ThrottledTable::new(of_table, of_partition, seed));
        let start = Instant::now();
        let sent: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let of_wire = Arc::clone(&sent);
        let wire = wire_of(Arc::clone(&model), start, move |at| {
            of_wire.lock().unwrap().push(at)
        });
        Self {
            model,
            wire: wire.with_latency(Duration::from_millis(8)),
            sent,
            start,
            stream: Arc::default(),
            broadcast: Arc::default(),
            share: Arc::new(Share(Mutex::new(Percentage::FULL))),
            is_one_process: true,
        }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        let start = self.start;
        Arc::new(move || START_MS + i64::try_from(start.elapsed().as_millis()).unwrap())
    }

    fn table(&self) -> TickTable {
        let config = TickTableConfig {
            table: "tickstream-ticks".to_owned(),
            retention_days: 30,
            timeout: StoreTimeout::default(),
            new_ids_from_ms: 0,
        };
        TickTable::new(Client::new(&self.wire.config()), config, self.clock())
    }

    /// A new process.
    fn process(&self) -> Ingest {
        let nowhere = Arc::new(Nowhere);
        Ingest {
            store: Arc::new(self.table()),
            stream: Arc::clone(&self.stream) as _,
            broadcast: Arc::clone(&self.broadcast) as _,
            redrive: None,
            quarantine: Arc::clone(&nowhere) as _,
            ledger: nowhere,
            flag: Arc::clone(&self.share) as _,
            clock: self.clock(),
            new_ids_from_ms: 0,
            settings: Arc::default(),
            recent_offers: Arc::default(),
        }
    }

    /// Delivers until it is accepted; returns the number of tries. Each try is handled by the process
    /// that `process` returns.
    async fn deliver(&self, mut process: impl FnMut() -> Ingest, delivery: &Delivery) -> usize {
        let source = sources::find(delivery.source).unwrap();
        for tries in 1..=TRIES_MAX {
            let before = self.model.tick_writes().0;
            let start = Instant::now();
            self.sent.lock().unwrap().clear();
            let outcome = process().deliver(source, &delivery.body).await;
            let deadline = start + StoreTimeout::default().of(delivery.ticks);
            let last = self.sent.lock().unwrap().last().copied();
            assert!(last < Some(deadline), "a call after the deadline");
            match outcome {
                Ok(_) => return tries,
                Err(IngestError::NotStored(_)) => {
                    // A new process may spend most of a small table's writes on claims.
                    let is_new = self.model.tick_writes().0 > before;
                    assert!(is_new || !self.is_one_process, "try {tries} stored nothing");
                }
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
        panic!("not accepted after {TRIES_MAX} tries");
    }

    fn assert_stored_once(&self, delivery: &Delivery) {
        let ticks = delivery.ticks;
        let (writes, most) = self.model.tick_writes();
        assert_eq!((writes as usize, most), (ticks, 1), "writes of ticks");
        assert_eq!(
            (self.stream.different(), self.broadcast.count()),
            (ticks, ticks)
        );
    }
}

struct Delivery {
    source: &'static str,
    body: Vec<u8>,
    ticks: usize,
}

/// Ticks with event times.
fn timed(ticks: usize, tokens: usize) -> Delivery {
    let entry = |n: usize| {
        let timestamp = START_MS - 60_000 + i64::try_from(n).unwrap();
        json!({ "id": n.to_string(), "token": format!("T{}", n % tokens), "price": "1.5", "timestamp": timestamp })
    };
    let entries: Vec<Value> = (0..ticks).map(entry).collect();
    Delivery {
        source: "ticks",
        body: serde_json::to_vec(&entries).unwrap(),
        ticks,
    }
}

/// Prices without a time.
fn stamped(ticks: usize) -> Delivery {
    let entry = |n: usize| {
        (
            format!("Mint{n}"),
            json!({ "usdPrice": 1.5, "blockId": 348_004_023 }),
        )
    };
    let entries: serde_json::Map<String, Value> = (0..ticks).map(entry).collect();
    Delivery {
        source: "jupiter",
        body: serde_json::to_vec(&entries).unwrap(),
        ticks,
    }
}

/// A table with so many write units a second, and three times as many for reading.
fn provisioned(write: u64) -> Units {
    Units {
        write,
        read: 3 * write,
    }
}

/// Delivers with these units for the table. `[same, other]`: at most so many tries if the same process
/// handles all of them, and if each is handled by a new one.
async fn check(
    delivery: Delivery,
    of_table: Units,
    of_partition: Units,
    tries_max: [usize; 2],
    seeds: u64,
) {
    let name = format!(
        "{} {} ticks, {} units",
        delivery.ticks, delivery.source, of_table.write
    );
    let mut seen = [Vec::new(), Vec::new()];
    for seed in 0..seeds {
        let scene = Scene::new(of_table, of_partition, seed);
        let process = scene.process();
        seen[0].push(scene.deliver(|| process.clone(), &delivery).await);
        scene.assert_stored_once(&delivery);
        assert_eq!(
            scene.stream.count(),
            delivery.ticks,
            "{name}: stream records"
        );

        // A new process reads all that is stored, so it needs the units for that within the timeout.
        let of_table = Units {
            read: of_table.read.max(OF_PARTITION.read),
            ..of_table
        };
        let scene = Scene {
            is_one_process: false,
            ..Scene::new(of_table, of_partition, seed)
        };
        seen[1].push(scene.deliver(|| scene.process(), &delivery).await);
        scene.assert_stored_once(&delivery);
    }
    for (tries, most) in seen.iter().zip(tries_max) {
        assert!(
            tries.iter().all(|tries| *tries <= most),
            "{name}: {tries:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn three_thousand_ticks_of_seven_tokens_end() {
    check(timed(3_000, 7), provisioned(1_000), OF_PARTITION, [2, 3], 1).await;
}

#[tokio::test(start_paused = true)]
async fn small_deliveries_to_small_tables_end() {
    check(timed(100, 7), provisioned(20), OF_PARTITION, [5, 6], 2).await;
    check(timed(400, 7), provisioned(100), OF_PARTITION, [5, 6], 2).await;
}

#[tokio::test(start_paused = true)]
async fn the_largest_delivery_to_one_partition_ends() {
    check(timed(10_000, 1), UNLIMITED, OF_PARTITION, [3, 4], 1).await;
}

#[tokio::test(start_paused = true)]
async fn arrival_stamped_ticks_end() {
    check(stamped(500), provisioned(1_000), OF_PARTITION, [2, 2], 1).await;
    check(stamped(500), provisioned(100), OF_PARTITION, [12, 15], 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_redelivery_an_hour_later_changes_nothing() {
    for delivery in [timed(300, 3), stamped(300)] {
        let scene = Scene::new(UNLIMITED, UNLIMITED, 1);
        let process = scene.process();
        assert_eq!(scene.deliver(|| process.clone(), &delivery).await, 1);
        scene.assert_stored_once(&delivery);
        let (items, used) = (scene.model.items(), scene.model.used());
        tokio::time::sleep(Duration::from_secs(3_600)).await;

        // The same process knows that the stream has the ticks.
        assert_eq!(scene.deliver(|| process.clone(), &delivery).await, 1);
        assert_eq!(
            (scene.model.used(), scene.stream.count()),
            (used, delivery.ticks)
        );

        // Another one does not; the analysis counts them once.
        assert_eq!(scene.deliver(|| scene.process(), &delivery).await, 1);
        assert_eq!(scene.stream.count(), 2 * delivery.ticks);
        assert_eq!(scene.stream.different(), delivery.ticks);
        let more = scene.model.used().read - used.read;
        let halves = if delivery.source == "jupiter" { 3 } else { 2 };
        assert_eq!(2 * more, halves * delivery.ticks as u64, "read units");

        // After a day, the ticks are no longer offered.
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        assert_eq!(scene.deliver(|| scene.process(), &delivery).await, 1);
        assert_eq!(scene.stream.count(), 2 * delivery.ticks);
        scene.assert_stored_once(&delivery);
        assert_eq!(scene.model.items(), items, "expiry and times included");
    }
}

#[tokio::test(start_paused = true)]
async fn a_redelivery_follows_the_first_decision() {
    let delivery = timed(200, 3);
    let scene = Scene::new(UNLIMITED, UNLIMITED, 1);
    let set = |share: &str| *scene.share.0.lock().unwrap() = share.parse().unwrap();
    set("10");
    scene.deliver(|| scene.process(), &delivery).await;
    let of_first = scene.stream.count();
    assert!(of_first > 0 && of_first < 60, "{of_first}");
    let items = scene.model.items();
    for share in ["100", "0", "10"] {
        set(share);
        scene.deliver(|| scene.process(), &delivery).await;
        assert_eq!(scene.stream.different(), of_first, "{share}");
    }
    assert_eq!(scene.model.items(), items);
}

#[tokio::test(start_paused = true)]
async fn a_redelivery_offers_what_a_process_stored_before_it_died() {
    for delivery in [timed(120, 3), stamped(120)] {
        let scene = Scene::new(UNLIMITED, UNLIMITED, 1);
        let source = sources::find(delivery.source).unwrap();
        let entries = source
            .parse(&delivery.body, &ParseContext::at(scene.clock().now_ms()))
            .unwrap();
        let ticks: Vec<CohortTick> = entries
            .into_iter()
            .map(|entry| match entry {
                sources::Entry::Tick(tick) => CohortTick {
                    tick,
                    in_cohort: true,
                    arrival_stamped: false,
                },
                sources::Entry::ArrivalStamped(tick) => CohortTick {
                    tick,
                    in_cohort: true,
                    arrival_stamped: true,
                },
                other @ (sources::Entry::Ignored(_) | sources::Entry::Malformed(_)) => {
                    panic!("{other:?}")
                }
            })
            .collect();
        // It stored a part of the delivery, and offered nothing.
        scene.table().put(&ticks[..70]).await.unwrap();
        tokio::time::sleep(RETRY_AFTER).await;
        scene.deliver(|| scene.process(), &delivery).await;
        assert_eq!((scene.stream.count(), scene.stream.different()), (120, 120));
        let mut expected: Vec<_> = scene.model.items().into_keys().collect();
        expected.retain(|(pk, _)| !pk.starts_with("claim#"));
        assert_eq!(
            expected.len(),
            120,
            "an arrival-stamped tick keeps its first time"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_down_gets_each_tick_once() {
    let delivery = timed(300, 3);
    let scene = Scene::new(UNLIMITED, UNLIMITED, 1);
    let process = scene.process();
    let source = sources::find(delivery.source).unwrap();
    scene.stream.is_down.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let refused = process.deliver(source, &delivery.body).await;
        assert!(
            matches!(refused, Err(IngestError::NotStored(_))),
            "{refused:?}"
        );
    }
    scene.stream.is_down.store(false, Ordering::Relaxed);
    for _ in 0..3 {
        process.deliver(source, &delivery.body).await.unwrap();
    }
    assert_eq!(scene.stream.count(), 300);
    scene.assert_stored_once(&delivery);
}
