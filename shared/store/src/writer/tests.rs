//! Jobs that panic.

use std::time::Duration;

use app::ports::TickStore as _;
use tokio::sync::oneshot;

use crate::embedded::{EmbeddedConfig, EmbeddedStore};
use crate::error::StorageError;
use crate::writer::Commit;

/// Longer than any commit takes.
const WITHIN: Duration = Duration::from_secs(60);

fn open(folder: &tempfile::TempDir) -> EmbeddedStore {
    EmbeddedStore::open(&EmbeddedConfig::new(folder.path().to_owned())).unwrap()
}

#[tokio::test]
async fn a_job_that_panics_stores_nothing_and_does_not_stop_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let panics = store.commit(|commit| -> Result<(), _> {
        commit.state.stored_rows += 1_000;
        panic!("a defect in a job")
    });
    let error = panics.await.unwrap_err();
    assert!(matches!(error, StorageError::Panicked), "{error}");
    assert!(error.at("store ticks").retryable);

    // What waits for the outcome of a job gets it, also if nobody waits for the job: otherwise, an outbox entry
    // would be kept until the next start.
    let (reply, outcome) = oneshot::channel();
    let panics = |_: &mut Commit<'_>| panic!("a defect in a job that nobody waits for");
    let done = move |outcome: Result<(), StorageError>| reply.send(outcome).unwrap();
    store.enqueue(panics, done).await.unwrap();
    outcome.await.unwrap().unwrap_err();

    let tick = testkit::ticks::tick("BTC", 1);
    let put = store.put(&testkit::ticks::in_cohort([&tick])).await;
    put.unwrap();
    assert_eq!(store.committed_ledger().await.unwrap().stored_rows, 1);
}

/// What runs after a commit is durable has no such protection.
#[tokio::test]
async fn a_writer_that_panicked_is_a_failed_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let done = |_: Result<(), StorageError>| panic!("a defect behind the commit");
    store.enqueue(|_| Ok(()), done).await.unwrap();
    store.failed().await;
    store.committed_ledger().await.unwrap_err();
    assert_eq!(store.current_ledger(WITHIN).await.stored_rows, 0);
}
