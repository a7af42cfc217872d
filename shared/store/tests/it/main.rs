//! The embedded ports, from their users' view.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod analysis;
mod anomalies_written;
mod anomaly_review;
mod candle_rebuild;
mod embedded;
mod outbox;
mod poison;
mod retention;
mod verify;
mod verify_under_traffic;

use std::sync::Arc;
use std::time::Duration;

use app::ports::{Clock, SequenceNumber, StreamRecord};
use domain::Tick;
use store::{EmbeddedConfig, EmbeddedStore, SHARDS, StorageError};
use tempfile::TempDir;
use testkit::ticks::START_MS;

/// Opens the store. One that was dropped without being closed is locked until its writing thread has ended.
fn open(folder: &TempDir) -> EmbeddedStore {
    let config = EmbeddedConfig::new(folder.path().join("store"));
    loop {
        match EmbeddedStore::open(&config) {
            Err(StorageError::Locked(_)) => std::thread::sleep(Duration::from_millis(5)),
            opened => return opened.unwrap(),
        }
    }
}

/// A clock that stands still.
fn clock() -> Arc<dyn Clock> {
    Arc::new(|| START_MS)
}

fn refs(ticks: &[Tick]) -> Vec<&Tick> {
    ticks.iter().collect()
}

async fn whole_stream(store: &EmbeddedStore) -> Vec<StreamRecord> {
    let mut all = Vec::new();
    for shard in 0..SHARDS {
        all.extend(
            store
                .read_stream(shard, SequenceNumber::START, usize::MAX)
                .await
                .unwrap(),
        );
    }
    all
}
