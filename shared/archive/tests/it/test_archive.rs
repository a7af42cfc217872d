//! A local archive for tests, with its readers and compactions.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use app::objects::Objects;
use archive::compaction::{
    Compaction, CompactionError, DayReport, Lease, Memory, Settings, Watch, day_folders,
};
use archive::{Folder, day_files, days};
use arrow::array::RecordBatch;
use codec::columnar;
use domain::Tick;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

/// Long after the ticks.
pub(crate) const NOW_MS: i64 = 1_800_000_000_000;

/// An archive in a temporary folder.
pub(crate) struct TestArchive {
    pub(crate) data: tempfile::TempDir,
    pub(crate) now_ms: Arc<AtomicI64>,
    pub(crate) stopped: Arc<AtomicBool>,
    pub(crate) settings: Settings,
}

struct Nobody(Arc<AtomicBool>);

impl Watch for Nobody {
    fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
    fn progress(&self, _: &'static str, _: u64, _: u64) {}
}

impl TestArchive {
    pub(crate) fn new() -> Self {
        let settings = Settings {
            target_bytes: 1024 * 1024,
            grace_ms: 0,
            memory: Memory::default(),
        };
        Self {
            data: folder(),
            now_ms: Arc::new(AtomicI64::new(NOW_MS)),
            stopped: Arc::default(),
            settings,
        }
    }

    pub(crate) fn table(&self) -> PathBuf {
        self.data.path().join("price-archive")
    }

    pub(crate) fn day(&self, day: &str) -> PathBuf {
        self.table().join(format!("year=2026/month=03/day={day}"))
    }

    /// Compacts every day over objects of the caller, under a lease as on S3.
    pub(crate) async fn compact_over(
        &self,
        objects: Arc<dyn Objects>,
    ) -> Result<Vec<DayReport>, CompactionError> {
        let (_lock, work) = Folder::new(self.data.path()).lock().unwrap();
        let now_ms = Arc::clone(&self.now_ms);
        let clock = Arc::new(move || now_ms.load(Ordering::Relaxed));
        let lease = Lease::take(Arc::clone(&objects), clock.clone(), "a test", "t").await?;
        let lease = Arc::new(lease);
        let compaction = Compaction {
            objects: Arc::clone(&objects),
            clock,
            settings: self.settings,
            work,
            watch: Arc::new(Nobody(Arc::clone(&self.stopped))),
            lease: Some(Arc::clone(&lease)),
        };
        let mut reports = Vec::new();
        for day in day_folders(objects.as_ref(), None, None).await? {
            reports.push(compaction.compact(&day).await?);
        }
        lease.release().await?;
        Ok(reports)
    }

    pub(crate) async fn compact(&self) -> Vec<DayReport> {
        let folder = Arc::new(Folder::new(self.data.path()));
        self.compact_over(folder).await.unwrap()
    }

    /// What readers of the manifest see, by day.
    pub(crate) fn rows(&self) -> BTreeMap<String, Vec<Tick>> {
        let mut rows = BTreeMap::new();
        for day in days(&self.table()).unwrap() {
            let name = format!("{}-{}-{}", day.year, day.month, day.day);
            let files = day_files(&day.path).unwrap();
            let ticks = files
                .iter()
                .flat_map(|file| read(&day.path.join(&file.name)));
            rows.insert(name, sorted(ticks.collect()));
        }
        rows
    }

    /// What readers see that only know Hive's rule of hidden names and no manifest, such as Athena.
    pub(crate) fn rows_without_manifest(&self) -> BTreeMap<String, Vec<Tick>> {
        let mut rows = BTreeMap::new();
        for day in days(&self.table()).unwrap() {
            let name = format!("{}-{}-{}", day.year, day.month, day.day);
            let plain = names(&day.path).into_iter().filter(|name| is_plain(name));
            let ticks = plain.flat_map(|name| read(&day.path.join(name)));
            rows.insert(name, sorted(ticks.collect()));
        }
        rows
    }

    /// The names of a day's files, without the manifest.
    pub(crate) fn files(&self, day: &str) -> Vec<String> {
        let mut names = names(&self.day(day));
        names.retain(|name| name != archive::MANIFEST);
        names
    }
}

/// A folder in memory if the system has such a file system, since waiting for a disk proves nothing
/// here.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

fn is_plain(name: &str) -> bool {
    name.ends_with(".parquet") && !name.starts_with(['_', '.'])
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(crate) fn batches(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

pub(crate) fn read(path: &Path) -> Vec<Tick> {
    let batches = batches(path).into_iter();
    batches
        .flat_map(|batch| columnar::ticks(&batch).unwrap())
        .collect()
}

pub(crate) fn sorted(mut ticks: Vec<Tick>) -> Vec<Tick> {
    ticks.sort_by_key(|tick| {
        let Tick {
            token,
            timestamp_ms,
            tick_id,
            ingested_at_ms,
            ..
        } = tick;
        (token.clone(), *timestamp_ms, *tick_id, *ingested_at_ms)
    });
    ticks
}

/// Each id once: the row that was ingested first.
pub(crate) fn deduplicated(ticks: &[Tick]) -> Vec<Tick> {
    let mut first: BTreeMap<_, &Tick> = BTreeMap::new();
    for tick in ticks {
        let best = first.entry(tick.tick_id).or_insert(tick);
        if tick.ingested_at_ms < best.ingested_at_ms {
            *best = tick;
        }
    }
    sorted(first.into_values().cloned().collect())
}

/// Writes a file like another writer: Snappy, in the order of arrival, without our metadata.
pub(crate) fn foreign(folder: &Path, name: &str, batch: &RecordBatch) {
    std::fs::create_dir_all(folder).unwrap();
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let file = File::create_new(folder.join(name)).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build())).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}
