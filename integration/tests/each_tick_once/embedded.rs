//! One process on the embedded store.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use app::analyse::{Analyser, AnalysisFeed, AnalysisUpdate};
use app::ingest::{Ingest, IngestError};
use app::ports::SequenceNumber;
use async_trait::async_trait;
use domain::analytics::{AnalysisConfig, Interval};
use domain::{Rollout, Tick};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use store::{Archiver, EmbeddedConfig, EmbeddedStore, SHARDS, TickRange};
use tempfile::TempDir;

use crate::ports::{Announced, Life, Mortal, RunClock, RunFlag};
use crate::reference::{History, Outcome, check};
use crate::scenario::{START_MS, Scenario, Step, Weather, body, scenario};

const FAIR: Weather = Weather {
    dies_at_call: None,
    after_effect: false,
    lost_answers: 0,
    stream_refuses: false,
    throttled: false,
};

/// A range with every tick.
const EVERYTHING: TickRange = TickRange {
    from_ms: 0,
    to_ms: i64::MAX,
    limit: usize::MAX,
};

struct NoFeed;

#[async_trait]
impl AnalysisFeed for NoFeed {
    async fn publish(&self, _: AnalysisUpdate) {}
}

/// A process.
struct Process {
    store: EmbeddedStore,
    analysers: Vec<(Analyser, SequenceNumber)>,
}

struct World {
    folder: TempDir,
    clock: Arc<RunClock>,
    flag: Arc<RunFlag>,
    announced: Arc<Announced>,
    history: History,
    tokens: BTreeSet<String>,
}

impl World {
    fn start(&self) -> Process {
        let store = opened(&EmbeddedConfig::new(self.folder.path().join("store")));
        let analyser = |shard| {
            let (port, config) = (Arc::new(store.clone()), AnalysisConfig::default());
            let after = store.checkpoint("analytics", shard).unwrap();
            (Analyser::new(shard, port, Arc::new(NoFeed), config), after)
        };
        Process {
            analysers: (0..SHARDS).map(analyser).collect(),
            store,
        }
    }

    fn ingest(&self, store: &EmbeddedStore, life: &Arc<Life>) -> Ingest {
        let port = Arc::new(store.clone());
        let mortal = || Mortal {
            life: Arc::clone(life),
            is_remote: false,
            port: Arc::clone(&port),
        };
        Ingest {
            store: Arc::new(mortal()),
            stream: Arc::new(mortal()),
            broadcast: Arc::clone(&self.announced) as _,
            redrive: None,
            quarantine: Arc::clone(&port) as _,
            ledger: Arc::new(mortal()),
            flag: Arc::clone(&self.flag) as _,
            clock: Arc::clone(&self.clock) as _,
            new_ids_from_ms: 0,
            recent_offers: Arc::default(),
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
            self.tokens.insert(tick.token.to_string());
            self.history.tries.push((tick, flag));
        }
        let life = Life::new(weather);
        let ingest = self.ingest(&process.store, &life);
        tokio::select! {
            answer = ingest.deliver(source, body) => match answer {
                Ok(_) => Some(true),
                Err(IngestError::NotStored(_)) => Some(false),
                Err(error) => panic!("{error}"),
            },
            () = life.died.notified() => None,
        }
    }

    async fn stored(&self, store: &EmbeddedStore) -> Vec<app::ports::CohortTick> {
        let mut stored = Vec::new();
        for token in &self.tokens {
            let ticks = store.decided_ticks(token, None, EVERYTHING).await.unwrap();
            stored.extend(ticks.unwrap_or_default());
        }
        stored
    }
}

async fn analyse(process: &mut Process, records_max: usize, fails: bool) {
    for shard in 0..SHARDS {
        let (analyser, after) = &mut process.analysers[usize::from(shard)];
        let read = process.store.read_stream(shard, *after, records_max);
        let records = read.await.unwrap();
        analyser.fold(&records).await.unwrap();
        if let Some(last) = records.last() {
            *after = last.sequence;
        }
        if fails {
            // As if the commit had failed: it begins again from the checkpoint.
            let (port, config) = (Arc::new(process.store.clone()), AnalysisConfig::default());
            *analyser = Analyser::new(shard, port, Arc::new(NoFeed), config);
            *after = process.store.checkpoint("analytics", shard).unwrap();
        } else {
            analyser.commit().await.unwrap();
        }
    }
}

fn archived(folder: &Path) -> Vec<Tick> {
    let mut ticks = Vec::new();
    let table = archive::table_folder(folder);
    for day in archive::days(&table).unwrap() {
        for file in archive::day_files(&day.path).unwrap() {
            let file = File::open(day.path.join(file.name)).unwrap();
            let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            for batch in batches.build().unwrap() {
                ticks.extend(codec::columnar::ticks(&batch.unwrap()).unwrap());
            }
        }
    }
    ticks
}

async fn flush(world: &World, store: &EmbeddedStore) {
    let archive = archive::Archive::open(world.folder.path()).unwrap();
    let archiver = Archiver::new(store.clone(), Arc::new(archive));
    archiver.flush().await.unwrap();
}

/// Opens the store once the process before has let go of it: reads that it began may still end.
fn opened(config: &EmbeddedConfig) -> EmbeddedStore {
    for _ in 0..1_000 {
        match EmbeddedStore::open(config) {
            Err(store::StorageError::Locked(_)) => std::thread::sleep(Duration::from_millis(10)),
            opened => return opened.unwrap(),
        }
    }
    panic!("the store stays locked")
}

/// A folder in memory if there is one, where a sync costs next to nothing: this test ends processes,
/// not machines.
fn folder() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap()
}

async fn run(scenario: Scenario) {
    let start = Rollout {
        use_kinesis: true,
        percentage: "50".parse().unwrap(),
        key: domain::RolloutKey::Tick,
    };
    let mut world = World {
        folder: folder(),
        clock: Arc::new(RunClock(AtomicI64::new(START_MS))),
        flag: Arc::new(RunFlag(Mutex::new(start))),
        announced: Arc::default(),
        history: History::default(),
        tokens: BTreeSet::new(),
    };
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
                    drop(process);
                    process = world.start();
                }
            }
            Step::Flag(rollout) => *world.flag.0.lock().unwrap() = *rollout,
            Step::Crash => {
                drop(process);
                process = world.start();
            }
            Step::Advance(ms) => drop(world.clock.0.fetch_add(*ms, Ordering::Relaxed)),
            Step::Analyse(records_max, fails) => analyse(&mut process, *records_max, *fails).await,
            Step::Archive => flush(&world, &process.store).await,
        }
        let stored = world.stored(&process.store).await;
        world.history.observe(&stored);
    }
    for body in unaccepted {
        assert_eq!(world.deliver(&process, &body, FAIR).await, Some(true));
    }
    // What a failed delivery of this process left is released with it.
    drop(process);
    let mut process = world.start();
    let life = Life::new(FAIR);
    world
        .ingest(&process.store, &life)
        .drain(&process.store)
        .await
        .unwrap();
    analyse(&mut process, usize::MAX, false).await;
    flush(&world, &process.store).await;
    let mut outcome = Outcome {
        stored: world.stored(&process.store).await,
        archived: Some(archived(world.folder.path())),
        announced: world.announced.0.lock().unwrap().clone(),
        ..Outcome::default()
    };
    world.history.observe(&outcome.stored);
    for shard in 0..SHARDS {
        let all = process
            .store
            .read_stream(shard, SequenceNumber::START, usize::MAX);
        outcome
            .streamed
            .extend(all.await.unwrap().into_iter().map(|record| record.tick));
    }
    let records = outcome.streamed.len();
    for token in &world.tokens {
        for interval in Interval::ALL {
            let candles = process.store.candles(token, None, interval, EVERYTHING);
            outcome
                .candles
                .extend(candles.await.unwrap().unwrap_or_default());
        }
    }
    check(&world.history, &outcome);
    let in_cohort = outcome.stored.iter().filter(|it| it.in_cohort).count();
    assert_eq!(
        records, in_cohort,
        "the embedded stream holds each tick once"
    );
    let ledger = process.store.committed_ledger().await.unwrap();
    assert_eq!(
        (ledger.difference(), ledger.pending_rows),
        (0, 0),
        "{ledger:?}"
    );
}

/// Runs that happen at once, since each of them mostly waits.
const AT_ONCE: usize = 8;

proptest! {
    // 4,000 runs.
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn each_tick_counts_once_in_one_process(
        scenarios in prop::collection::vec(scenario(), AT_ONCE),
    ) {
        let run = |scenario: Scenario| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(run(scenario));
        };
        let runs = scenarios.into_iter().map(|scenario| std::thread::spawn(move || run(scenario)));
        let runs: Vec<_> = runs.collect();
        let failed = runs.into_iter().filter_map(|run| run.join().err()).count();
        prop_assert_eq!(failed, 0, "the reason is above");
    }
}
