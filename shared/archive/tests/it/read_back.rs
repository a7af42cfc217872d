//! Reading ticks back by the time of their receipt, also while a compaction replaces the files.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use app::objects::{Condition, Object, Objects, Replaced};
use app::ports::PortError;
use app::read_back::{ArchivedTick, ArchivedTicks as _, Page, ReceiptRange};
use app::utc_days::days;
use archive::{Archive, ArchiveReader, Folder};
use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use chrono::NaiveDate;
use domain::Tick;
use futures_util::StreamExt as _;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;
use testkit::ticks::{START_MS, ticks};

/// The objects of a folder, of which some disappear between the listing and the copy.
struct Replacing {
    folder: Folder,
    missing: AtomicUsize,
    lists: AtomicUsize,
    folder_lists: AtomicUsize,
}

#[async_trait]
impl Objects for Replacing {
    fn place(&self) -> String {
        self.folder.place()
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Object>, PortError> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.folder.list(prefix).await
    }
    async fn folders(&self, of: &str) -> Result<Vec<String>, PortError> {
        self.folder_lists.fetch_add(1, Ordering::Relaxed);
        self.folder.folders(of).await
    }
    async fn read(&self, name: &str) -> Result<Option<(Vec<u8>, String)>, PortError> {
        self.folder.read(name).await
    }
    async fn replace(
        &self,
        name: &str,
        content: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<Replaced, PortError> {
        self.folder.replace(name, content, condition).await
    }
    async fn fetch(&self, name: &str, to: &Path) -> Result<bool, PortError> {
        let left = self.missing.load(Ordering::Relaxed);
        if left > 0 {
            self.missing.store(left - 1, Ordering::Relaxed);
            return Ok(false);
        }
        self.folder.fetch(name, to).await
    }
    async fn put(&self, name: &str, from: &Path) -> Result<(), PortError> {
        self.folder.put(name, from).await
    }
    async fn copy(&self, from: &str, to: &str) -> Result<bool, PortError> {
        self.folder.copy(from, to).await
    }
    async fn delete(&self, names: &[String]) -> Result<(), PortError> {
        self.folder.delete(names).await
    }
}

/// The ids that were read, sorted, and what could not be seen.
async fn read(data: &TempDir, missing: usize, range: ReceiptRange) -> (Vec<String>, Vec<String>) {
    let work = TempDir::new().unwrap();
    let objects = Replacing {
        folder: Folder::new(data.path()),
        missing: missing.into(),
        lists: AtomicUsize::new(0),
        folder_lists: AtomicUsize::new(0),
    };
    let reader = ArchiveReader::new(Arc::new(objects), work.path().to_owned());
    let days = BTreeSet::from([NaiveDate::from_ymd_opt(2026, 1, 1).unwrap()]);
    let mut pages = reader.archived(Some(range), days);
    let (mut ids, mut unseen) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        match page.unwrap() {
            Page::Ticks(ticks) => ids.extend(ticks.iter().map(|tick| tick.tick_id.to_string())),
            Page::Unseen(found) => unseen.push(found.what),
        }
    }
    ids.sort();
    assert_eq!(
        work.path().read_dir().unwrap().count(),
        0,
        "copies are left"
    );
    (ids, unseen)
}

fn written() -> (TempDir, Vec<Tick>) {
    let data = TempDir::new().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    let made = ticks(&["BTC", "ETH"], 500);
    let (first, second) = made.split_at(300);
    archive.write_range(0, 1, 300, first).unwrap();
    archive.write_range(0, 301, 1_000, second).unwrap();
    (data, made)
}

#[tokio::test]
async fn the_ticks_of_a_range_are_those_that_were_received_in_it() {
    let (data, made) = written();
    let range = ReceiptRange {
        from_ms: START_MS + 100_000,
        to_ms: START_MS + 250_000,
    };
    let in_range = made
        .iter()
        .filter(|tick| range.contains(tick.ingested_at_ms));
    let mut expected: Vec<String> = in_range.map(|tick| tick.tick_id.to_string()).collect();
    expected.sort();
    assert_eq!(read(&data, 0, range).await, (expected, Vec::new()));
}

/// A listing costs a request on S3, and a calendar has days that no archive has.
#[tokio::test]
async fn only_days_that_exist_are_looked_at() {
    let (data, made) = written();
    let work = TempDir::new().unwrap();
    let objects = Arc::new(Replacing {
        folder: Folder::new(data.path()),
        missing: AtomicUsize::new(0),
        lists: AtomicUsize::new(0),
        folder_lists: AtomicUsize::new(0),
    });
    let reader = ArchiveReader::new(Arc::clone(&objects) as _, work.path().to_owned());
    let range = ReceiptRange {
        from_ms: i64::MIN,
        to_ms: i64::MAX,
    };
    let days = days(range.from_ms, START_MS + 1_000_000);
    assert!(days.len() > 9_000);
    assert_eq!(reader.size(&days).await.unwrap().0, 2);
    let mut pages = reader.archived(Some(range), days);
    let mut found = 0;
    while let Some(page) = pages.next().await {
        if let Page::Ticks(ticks) = page.unwrap() {
            found += ticks.len();
        }
    }
    assert_eq!(found, made.len());
    let lists = objects.lists.load(Ordering::Relaxed);
    assert_eq!(lists, 2, "one for the size, and one for the ticks");
    let folder_lists = objects.folder_lists.load(Ordering::Relaxed);
    assert_eq!(
        folder_lists,
        2 * 3,
        "the years, and the months and the days of the one that exists"
    );
}

/// A range leaves out rows that were received at other times, or that have no time of receipt.
#[tokio::test]
async fn without_a_range_all_rows_of_the_days_are_read() {
    let (data, made) = written();
    let day = data.path().join("price-archive/year=2026/month=01/day=01");
    let file = day.read_dir().unwrap().next().unwrap().unwrap().path();
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file).unwrap()).unwrap();
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    let (mut fields, mut columns) = (batch.schema().fields().to_vec(), batch.columns().to_vec());
    let at = batch.schema().index_of("ingested_at").unwrap();
    columns[at] = new_null_array(&DataType::Int64, batch.num_rows());
    fields[at] = Arc::new(Field::new("ingested_at", DataType::Int64, true));
    let changed = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(&file).unwrap(), changed.schema(), None).unwrap();
    writer.write(&changed).unwrap();
    writer.close().unwrap();

    let range = ReceiptRange {
        from_ms: i64::MIN,
        to_ms: i64::MAX,
    };
    for (range, expected) in [(None, 0), (Some(range), changed.num_rows())] {
        let work = TempDir::new().unwrap();
        let objects = Arc::new(Folder::new(data.path()));
        let reader = ArchiveReader::new(objects, work.path().to_owned());
        let pages = reader.archived(range, days(START_MS, START_MS + 1));
        let pages: Vec<_> = pages.collect().await;
        let count = |page: &Result<Page<ArchivedTick>, PortError>| match page {
            Ok(Page::Ticks(ticks)) => ticks.len(),
            other => panic!("{other:?}"),
        };
        let found: usize = pages.iter().map(count).sum();
        assert_eq!(found, made.len() - expected, "{range:?}");
    }
}

#[tokio::test]
async fn files_that_are_replaced_meanwhile_are_read_again_and_a_day_that_never_rests_is_unseen() {
    let (data, made) = written();
    let all = ReceiptRange {
        from_ms: START_MS,
        to_ms: START_MS + 1_000_000,
    };
    let (ids, unseen) = read(&data, 3, all).await;
    assert_eq!((ids.len(), unseen.len()), (made.len(), 0), "each tick once");
    let (ids, unseen) = read(&data, 100, all).await;
    assert_eq!(ids.len(), 0);
    assert!(unseen[0].contains("a compaction is running"), "{unseen:?}");
}
