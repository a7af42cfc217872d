//! Anomalies in the files for SQL: each once, whatever happens in between.

use std::fs;
use std::sync::Arc;

use app::ports::{
    AnalysisCommit, AnalyticsStore as _, SequenceNumber, TickStore as _, TickStream as _,
};
use archive::{ANOMALIES_FOLDER, AnomalyArchive, Folder};
use domain::Tick;
use domain::analytics::Anomaly;
use store::{AnomalyFiles, EmbeddedConfig, EmbeddedStore, StreamRetention};
use tempfile::TempDir;
use testkit::anomalies::jump_at;
use testkit::ticks::{in_cohort, tick};

const DAY_MS: i64 = 86_400_000;

/// 2026-01-02T00:00:00Z.
const START_MS: i64 = 1_767_312_000_000;

fn open(data: &TempDir) -> (EmbeddedStore, AnomalyFiles) {
    let store = EmbeddedStore::open(&EmbeddedConfig::new(data.path().join("store"))).unwrap();
    let files = AnomalyFiles::open(store.clone(), data.path()).unwrap();
    (store, files)
}

/// Stores a tick that is received on a day, and the anomaly that it shows.
async fn found(store: &EmbeddedStore, number: u32, day: i64) -> Anomaly {
    let received = Tick {
        ingested_at_ms: START_MS + day * DAY_MS + i64::from(number),
        ..tick("BTC", number)
    };
    store
        .put(&in_cohort(std::slice::from_ref(&received)))
        .await
        .unwrap();
    store.append(&[&received], None).await.unwrap();
    let anomaly = jump_at(&received);
    commit(store, &anomaly).await;
    anomaly
}

async fn commit(store: &EmbeddedStore, anomaly: &Anomaly) {
    let step = AnalysisCommit {
        anomalies: vec![anomaly.clone()],
        ..AnalysisCommit::default()
    };
    let stored = store.commit(0, SequenceNumber::START, step).await;
    assert_eq!(stored.unwrap(), []);
}

#[tokio::test]
async fn each_anomaly_is_written_once_also_after_a_restart() {
    let data = TempDir::new().unwrap();
    let (store, files) = open(&data);
    assert_eq!(files.flush().await.unwrap(), 0);
    assert!(!data.path().join(ANOMALIES_FOLDER).exists());
    let first = found(&store, 1, 0).await;
    found(&store, 2, 0).await;
    assert_eq!(files.flush().await.unwrap(), 2);
    assert_eq!(files.flush().await.unwrap(), 0);
    // Found again on another day.
    found(&store, 3, 1).await;
    commit(&store, &first).await;
    assert_eq!(files.flush().await.unwrap(), 1);
    found(&store, 4, 1).await;
    drop(files);
    store.close();
    let (store, files) = open(&data);
    assert_eq!(files.flush().await.unwrap(), 1);
    store.close();
}

#[tokio::test]
async fn a_row_that_cannot_be_read_keeps_no_other_out_of_the_files() {
    let data = TempDir::new().unwrap();
    let (store, files) = open(&data);
    for number in 1..=2 {
        found(&store, number, 0).await;
    }
    drop(files);
    store.close();
    {
        let db = fjall::Database::builder(data.path().join("store"))
            .open()
            .unwrap();
        let keyspace = db
            .keyspace("anomalies-by-day", fjall::KeyspaceCreateOptions::default)
            .unwrap();
        let (key, _) = keyspace.iter().next().unwrap().into_inner().unwrap();
        keyspace.insert(key, [0xc3, 0xff]).unwrap();
        db.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    let (store, files) = open(&data);
    assert_eq!(files.flush().await.unwrap(), 1);
    store.close();
}

/// A flush that was killed after it had written a file, and before it recorded that.
#[tokio::test]
async fn a_flush_that_was_killed_is_completed() {
    let data = TempDir::new().unwrap();
    let (store, files) = open(&data);
    let written = found(&store, 1, 0).await;
    let folder = Folder::of_anomalies(data.path()).unwrap();
    let archive = AnomalyArchive::new(Arc::new(folder));
    assert_eq!(archive.add(&[written]).await.unwrap(), 1);
    found(&store, 2, 0).await;
    assert_eq!(files.flush().await.unwrap(), 1);
    store.close();
}

#[tokio::test]
async fn files_stay_after_the_retention_and_old_days_are_not_looked_at_again() {
    let data = TempDir::new().unwrap();
    let (store, files) = open(&data);
    found(&store, 1, 0).await;
    assert_eq!(files.flush().await.unwrap(), 1);
    found(&store, 2, 5).await;
    assert_eq!(files.flush().await.unwrap(), 1);
    let folder = data.path().join(ANOMALIES_FOLDER);
    let before_ms = START_MS + 3 * DAY_MS;
    let swept = store.sweep(before_ms, StreamRetention::ALL, &[]).await;
    assert_eq!(swept.unwrap().ticks, 1);
    assert_eq!(files.flush().await.unwrap(), 0);
    assert_eq!(
        archive::days(&folder).unwrap().len(),
        1,
        "both have one day of event time"
    );
    // Only what was written since the day before the last flush is compared with the files.
    fs::remove_dir_all(&folder).unwrap();
    found(&store, 3, 5).await;
    assert_eq!(files.flush().await.unwrap(), 2);
    store.close();
}
