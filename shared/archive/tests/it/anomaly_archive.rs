//! Anomalies are added to the files of their days, each once, whatever happens in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::objects::Objects;
use archive::{AnomalyArchive, Folder};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use bytes::Bytes;
use domain::analytics::Anomaly;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use testkit::anomalies::jump_at;
use testkit::killed_objects::{KillPoint, KilledObjects};
use testkit::memory_objects::MemoryObjects;
use testkit::ticks::tick;

const DAY_MS: i64 = 86_400_000;

/// 2026-03-07T00:00:00Z.
const START_MS: i64 = 1_772_841_600_000;

fn at(number: u32, timestamp_ms: i64) -> Anomaly {
    Anomaly {
        timestamp_ms,
        ..jump_at(&tick("BTC", number))
    }
}

async fn batches(objects: &dyn Objects, name: &str) -> Vec<RecordBatch> {
    let (content, _) = objects.read(name).await.unwrap().unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(content)).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

/// Name of the file → times of its anomalies.
async fn times(objects: &dyn Objects) -> BTreeMap<String, Vec<i64>> {
    let mut found = BTreeMap::new();
    for object in objects.list("").await.unwrap() {
        let mut times: Vec<i64> = Vec::new();
        for batch in batches(objects, &object.name).await {
            times.extend(batch["ts"].as_primitive::<Int64Type>().values());
        }
        times.sort_unstable();
        found.insert(object.name, times);
    }
    found
}

fn day(number: u32) -> String {
    format!("year=2026/month=03/day={number:02}/anomalies.parquet")
}

#[tokio::test]
async fn anomalies_are_in_the_file_of_their_day_once() {
    let objects = Arc::new(MemoryObjects::default());
    let archive = AnomalyArchive::new(Arc::clone(&objects) as _);
    let first = [at(1, START_MS), at(2, START_MS - 1), at(3, START_MS + 5)];
    assert_eq!(archive.add(&first).await.unwrap(), 3);
    assert_eq!(archive.add(&first).await.unwrap(), 0);
    assert_eq!(
        objects.writes(),
        2,
        "a file with all of them is not written"
    );
    // One tick twice in a call, with one that is new and one that is not.
    let more = [at(4, START_MS + 2), at(4, START_MS + 2), at(1, START_MS)];
    assert_eq!(archive.add(&more).await.unwrap(), 1);
    let expected = [
        (day(6), vec![START_MS - 1]),
        (day(7), vec![START_MS, START_MS + 2, START_MS + 5]),
    ];
    assert_eq!(times(objects.as_ref()).await, BTreeMap::from(expected));
}

#[tokio::test]
async fn a_row_says_what_was_expected_and_seen() {
    let objects = Arc::new(MemoryObjects::default());
    let of_release_1_0 = Anomaly {
        source: None,
        ..at(1, START_MS)
    };
    let other = at(2, START_MS + 1);
    let archive = AnomalyArchive::new(Arc::clone(&objects) as _);
    archive.add(&[of_release_1_0, other.clone()]).await.unwrap();
    let batch = &batches(objects.as_ref(), &day(7)).await[0];
    let text = |name: &str, row| {
        let column = batch[name].as_string::<i32>();
        column.iter().nth(row).unwrap()
    };
    assert_eq!(text("source", 0), None);
    for (name, value) in [
        ("token", "BTC"),
        ("quote", other.quote.as_str()),
        ("source", other.source.as_ref().unwrap().as_str()),
        ("tick_id", &other.tick_id.to_string()),
        ("kind", "jump"),
        ("direction", "up"),
        ("quantity", "value"),
        ("message", &other.message()),
    ] {
        assert_eq!(text(name, 1), Some(value), "{name}");
    }
    for (name, value) in [
        ("price", other.price.to_f64()),
        ("score", other.score),
        ("expected", other.detection.expected),
        ("seen", other.detection.seen),
    ] {
        let found = batch[name].as_primitive::<Float64Type>().value(1);
        assert!((found - value).abs() < 1e-12, "{name}: {found}");
    }
    let window_ms = batch["window_ms"].as_primitive::<Int64Type>().value(1);
    assert_eq!(window_ms, other.detection.window_ms);
}

#[tokio::test]
async fn a_call_that_was_killed_anywhere_is_repeated() {
    let anomalies: Vec<Anomaly> = (0..6_u32)
        .map(|n| at(n, START_MS + i64::from(n % 3) * DAY_MS))
        .collect();
    for kill_point in [KillPoint::Before, KillPoint::After] {
        for call in 0.. {
            let objects = Arc::new(MemoryObjects::default());
            let before = AnomalyArchive::new(Arc::clone(&objects) as _);
            before.add(&anomalies[..2]).await.unwrap();
            let killed = KilledObjects::new(Arc::clone(&objects) as _, call, kill_point);
            let ended = AnomalyArchive::new(Arc::new(killed)).add(&anomalies).await;
            let after = AnomalyArchive::new(Arc::clone(&objects) as _);
            after.add(&anomalies).await.unwrap();
            let expected: BTreeMap<_, _> = (0..3_u32)
                .map(|n| (day(7 + n), vec![START_MS + i64::from(n) * DAY_MS; 2]))
                .collect();
            assert_eq!(
                times(objects.as_ref()).await,
                expected,
                "{kill_point:?} {call}"
            );
            if ended.is_ok() {
                assert!(call >= 6, "three files are read and written");
                break;
            }
        }
    }
}

#[tokio::test]
async fn writers_at_the_same_time_lose_nothing() {
    let objects = Arc::new(MemoryObjects::default());
    let add = |n: u32| {
        let archive = AnomalyArchive::new(Arc::clone(&objects) as _);
        tokio::spawn(async move { archive.add(&[at(n, START_MS + i64::from(n))]).await })
    };
    for added in (0..8).map(add).collect::<Vec<_>>() {
        assert_eq!(added.await.unwrap().unwrap(), 1);
    }
    let expected: Vec<i64> = (0..8).map(|n| START_MS + n).collect();
    assert_eq!(times(objects.as_ref()).await[&day(7)], expected);
}

#[tokio::test]
async fn a_data_folder_has_them_beside_the_archive() {
    let data = tempfile::tempdir().unwrap();
    let staging = data.path().join("anomalies.staging");
    std::fs::create_dir(&staging).unwrap();
    std::fs::write(staging.join(format!("{}-0", std::process::id())), "half").unwrap();
    let folder = Folder::of_anomalies(data.path()).unwrap();
    let archive = AnomalyArchive::new(Arc::new(folder));
    archive.add(&[at(1, START_MS)]).await.unwrap();
    archive.add(&[at(2, START_MS + 1)]).await.unwrap();
    let file = data.path().join("anomalies").join(day(7));
    assert!(file.is_file());
    let left = std::fs::read_dir(&staging).unwrap().count();
    assert_eq!(left, 0, "nothing is left behind");
}
