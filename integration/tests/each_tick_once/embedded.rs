//! One process on the embedded store.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use app::analyse::{Analyser, AnalysisFeed, AnalysisUpdate};
use app::ingest::Ingest;
use app::objects::Objects;
use app::ports::{CohortTick, SequenceNumber};
use archive::Folder;
use archive::compaction::{Compaction, Memory, Settings, Watch, day_folders};
use async_trait::async_trait;
use domain::Tick;
use domain::analytics::{AnalysisConfig, Interval};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use store::{Archiver, EmbeddedConfig, EmbeddedStore, SHARDS, TickRange};
use tempfile::TempDir;

use crate::ports::{Life, Mortal};
use crate::reference::Outcome;
use crate::run::{FAIR, Outside, System, play};
use crate::scenario::{START_MS, Scenario, scenario, tokens};

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

struct Embedded {
    folder: TempDir,
    outside: Outside,
    /// `None` only while one process ends and the next one starts.
    process: Option<Process>,
    /// Every other process closes the store; the others end as if they were killed.
    starts: usize,
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

fn analyser(store: &EmbeddedStore, shard: u8) -> (Analyser, SequenceNumber) {
    let (port, config) = (Arc::new(store.clone()), AnalysisConfig::default());
    let after = store.checkpoint("analytics", shard).unwrap();
    (Analyser::new(shard, port, Arc::new(NoFeed), config), after)
}

impl Embedded {
    fn new(outside: &Outside) -> Self {
        let mut system = Self {
            folder: folder(),
            outside: outside.clone(),
            process: None,
            starts: 0,
        };
        system.restart();
        system
    }

    fn store(&self) -> &EmbeddedStore {
        &self.process.as_ref().unwrap().store
    }
}

impl System for Embedded {
    fn ingest(&self, life: &Arc<Life>) -> Ingest {
        let port = Arc::new(self.store().clone());
        let mortal = || Mortal {
            life: Arc::clone(life),
            is_remote: false,
            port: Arc::clone(&port),
        };
        Ingest {
            store: Arc::new(mortal()),
            stream: Arc::new(mortal()),
            broadcast: Arc::clone(&self.outside.announced) as _,
            redrive: None,
            quarantine: Arc::clone(&port) as _,
            ledger: Arc::new(mortal()),
            flag: Arc::clone(&self.outside.flag) as _,
            clock: Arc::clone(&self.outside.clock) as _,
            new_ids_from_ms: 0,
            settings: Arc::default(),
            recent_offers: Arc::default(),
        }
    }

    fn restart(&mut self) {
        let ended = self.process.take();
        self.starts += 1;
        if let Some(Process { store, analysers }) = ended
            && self.starts.is_multiple_of(2)
        {
            drop(analysers);
            store.close();
        }
        let store = opened(&EmbeddedConfig::new(self.folder.path().join("store")));
        self.process = Some(Process {
            analysers: (0..SHARDS).map(|shard| analyser(&store, shard)).collect(),
            store,
        });
    }

    async fn analyse(&mut self, records_max: usize, fails: bool) {
        let Process { store, analysers } = self.process.as_mut().unwrap();
        for (shard, slot) in (0..SHARDS).zip(analysers) {
            let (analysis, after) = slot;
            let records = store.read_stream(shard, *after, records_max);
            let records = records.await.unwrap();
            analysis.fold(&records).await.unwrap();
            if let Some(last) = records.last() {
                *after = last.sequence;
            }
            if fails {
                // As if the commit had failed: it continues from the checkpoint.
                *slot = analyser(store, shard);
            } else {
                analysis.commit().await.unwrap();
            }
        }
    }

    async fn archive(&mut self) {
        let archive = archive::Archive::open(self.folder.path()).unwrap();
        let archiver = Archiver::new(self.store().clone(), Arc::new(archive), Arc::new(|| 0_i64));
        archiver.flush().await.unwrap();
    }

    async fn stored(&self) -> Vec<CohortTick> {
        let mut stored = Vec::new();
        for token in tokens() {
            let ticks = self.store().decided_ticks(token, None, EVERYTHING);
            stored.extend(ticks.await.unwrap().unwrap_or_default());
        }
        stored
    }

    async fn finish(&mut self) -> Outcome {
        // What a failed delivery of this process left is released when it ends.
        self.restart();
        let ingest = self.ingest(&Life::new(FAIR));
        ingest.drain(self.store()).await.unwrap();
        self.analyse(usize::MAX, false).await;
        self.archive().await;
        compact(self.folder.path()).await;
        let mut outcome = Outcome {
            archived: Some(archived(self.folder.path())),
            ..Outcome::default()
        };
        let store = self.store();
        for shard in 0..SHARDS {
            let all = store.read_stream(shard, SequenceNumber::START, usize::MAX);
            let records = all.await.unwrap().into_iter();
            outcome.streamed.extend(records.map(|record| record.tick));
        }
        let different: BTreeSet<_> = outcome.streamed.iter().map(Tick::identity).collect();
        assert_eq!(
            different.len(),
            outcome.streamed.len(),
            "the embedded stream holds each tick once"
        );
        for token in tokens() {
            for interval in Interval::ALL {
                let candles = store.candles(token, None, interval, EVERYTHING);
                let candles = candles.await.unwrap().unwrap_or_default();
                outcome.candles.extend(candles);
            }
        }
        let ledger = store.committed_ledger().await.unwrap();
        assert_eq!(
            (ledger.difference(), ledger.pending_rows),
            (0, 0),
            "{ledger:?}"
        );
        outcome
    }
}

/// Long after all events.
const AFTER_ALL_MS: i64 = START_MS + 365 * 86_400_000;

struct NobodyWatches;

impl Watch for NobodyWatches {
    fn stopped(&self) -> bool {
        false
    }
    fn progress(&self, _: &'static str, _: u64, _: u64) {}
}

/// Compacts every day of the archive.
async fn compact(folder: &Path) {
    let (_lock, work) = Folder::new(folder).lock().unwrap();
    let objects: Arc<dyn Objects> = Arc::new(Folder::new(folder));
    let compaction = Compaction {
        objects: Arc::clone(&objects),
        clock: Arc::new(|| AFTER_ALL_MS),
        settings: Settings {
            target_bytes: 1024 * 1024,
            grace_ms: 0,
            memory: Memory::default(),
        },
        work,
        watch: Arc::new(NobodyWatches),
        lease: None,
    };
    for day in day_folders(objects.as_ref(), None, None).await.unwrap() {
        compaction.compact(&day).await.unwrap();
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

/// Runs that happen at once, since each of them mostly waits.
const AT_ONCE: usize = 8;

proptest! {
    // 4,000 runs.
    #![proptest_config(ProptestConfig { cases: 500, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn each_tick_counts_once_in_one_process(
        scenarios in prop::collection::vec(scenario(), AT_ONCE),
    ) {
        let run = |scenario: Scenario| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let outside = Outside::new();
                play(&mut Embedded::new(&outside), &outside, &scenario).await;
            });
        };
        let runs = scenarios.into_iter().map(|scenario| std::thread::spawn(move || run(scenario)));
        let runs: Vec<_> = runs.collect();
        let failed = runs.into_iter().filter_map(|run| run.join().err()).count();
        prop_assert_eq!(failed, 0, "the reason is above");
    }
}
