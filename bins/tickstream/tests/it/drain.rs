//! The outbox is drained while the process serves: missing ticks are appended to the stream once, and
//! deliveries in progress are not touched.

use std::collections::HashSet;
use std::sync::Arc;

use app::ingest::Ingest;
use app::ports::{OutboxId, PortError, Refused, SequenceNumber, TickStore, TickStream};
use async_trait::async_trait;
use domain::Tick;
use futures_util::future::join_all;
use store::{EmbeddedStore, SHARDS};
use tempfile::TempDir;
use testkit::faulty::Faults;
use testkit::ticks::{tick, ticks};
use tokio::sync::Semaphore;

use crate::process::{WAIT_TIMEOUT, start, ticks_body};
use crate::simulation::{ingest, open_at};

const ENTRIES: u32 = 600;
const ENTRY_TICKS: u32 = 5;

/// A folder after a crash under load: many outbox entries, every third of them already streamed.
async fn crashed() -> TempDir {
    let folder = TempDir::new().unwrap();
    let store = open_at(&folder.path().join("store"));
    let store = &store;
    let put = async |number: u32| {
        let range = number * ENTRY_TICKS..(number + 1) * ENTRY_TICKS;
        let ticks: Vec<Tick> = range.map(|n| tick("LEFT", n)).collect();
        let ticks: Vec<&Tick> = ticks.iter().collect();
        let id = store
            .put(&testkit::ticks::in_cohort(ticks.iter().copied()))
            .await
            .unwrap()
            .outbox_id;
        if number.is_multiple_of(3) {
            store.append(&ticks, id).await.unwrap();
        }
    };
    join_all((0..ENTRIES).map(put)).await;
    folder
}

async fn stream(store: &EmbeddedStore) -> Vec<Tick> {
    let mut all = Vec::new();
    for shard in 0..SHARDS {
        let records = store.read_stream(shard, SequenceNumber::START, usize::MAX);
        all.extend(records.await.unwrap().into_iter().map(|record| record.tick));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_a_crash_serves_at_once_and_drains_the_outbox_once() {
    let folder = crashed().await;
    // If it is stopped halfway, it continues at the next start.
    start(&folder, &[]).await.stop().await;

    let process = start(&folder, &[]).await;
    let health = tokio::time::timeout(WAIT_TIMEOUT, process.get("/healthz"));
    assert_eq!(health.await.expect("it serves").0, 200);
    // A sender that got no response delivers again.
    let (_, answer) = process.deliver("ticks", ticks_body("NEW", 10)).await;
    assert_eq!(answer["streamed"], 10);
    let ledger = process
        .until("/api/ledger", |ledger| ledger["pending"] == 0)
        .await;
    assert_eq!(ledger["difference"], 0, "{ledger}");
    assert_eq!(ledger["streamed"], ENTRIES * ENTRY_TICKS + 10, "{ledger}");
    process.stop().await;

    let store = open_at(&folder.path().join("store"));
    let streamed = stream(&store).await;
    let ids: HashSet<_> = streamed.iter().map(|tick| tick.tick_id).collect();
    assert_eq!(ids.len(), streamed.len(), "no tick is duplicated");
    let left = ticks(&["LEFT"], ENTRIES * ENTRY_TICKS);
    let lost = left.iter().filter(|tick| !ids.contains(&tick.tick_id));
    assert_eq!(lost.count(), 0, "no tick is lost");
}

/// A slow stream.
struct Gate {
    store: EmbeddedStore,
    entered: Semaphore,
    open: Semaphore,
}

impl Gate {
    fn before(store: &EmbeddedStore) -> Arc<Self> {
        Arc::new(Self {
            store: store.clone(),
            entered: Semaphore::new(0),
            open: Semaphore::new(0),
        })
    }
}

#[async_trait]
impl TickStream for Gate {
    async fn append(
        &self,
        ticks: &[&Tick],
        outbox_id: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        self.entered.add_permits(1);
        self.open.acquire().await.unwrap().forget();
        self.store.append(ticks, outbox_id).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_in_progress_is_not_drained_however_long_it_takes() {
    let folder = TempDir::new().unwrap();
    let store = open_at(folder.path());
    let gate = Gate::before(&store);
    let sound = ingest(&store, Faults::default(), 1);
    let slow = Ingest {
        stream: Arc::clone(&gate) as _,
        ..sound.clone()
    };
    let source = sources::find("ticks").unwrap();
    let delivering = tokio::spawn(async move {
        let body = ticks_body("SLOW", 40);
        slow.deliver(source, body.as_bytes()).await.unwrap()
    });
    gate.entered.acquire().await.unwrap().forget();
    assert_eq!(sound.drain(&store).await.unwrap(), 0);
    gate.open.add_permits(1);
    assert_eq!(delivering.await.unwrap().counts.streamed, 40);
    assert_eq!(sound.drain(&store).await.unwrap(), 0);
    assert_eq!(stream(&store).await.len(), 40);
    assert_eq!(store.committed_ledger().await.unwrap().pending_rows, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entry_of_an_aborted_delivery_is_drained_by_the_same_process() {
    let folder = TempDir::new().unwrap();
    let store = open_at(folder.path());
    let gate = Gate::before(&store);
    let sound = ingest(&store, Faults::default(), 1);
    let slow = Ingest {
        stream: Arc::clone(&gate) as _,
        ..sound.clone()
    };
    let source = sources::find("ticks").unwrap();
    let delivering = tokio::spawn(async move {
        let body = ticks_body("CUT", 40);
        slow.deliver(source, body.as_bytes()).await
    });
    gate.entered.acquire().await.unwrap().forget();
    delivering.abort();
    assert!(delivering.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(sound.drain(&store).await.unwrap(), 40);
    assert_eq!(sound.drain(&store).await.unwrap(), 0);
    assert_eq!(stream(&store).await.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_that_the_stream_refused_are_drained_by_the_same_process() {
    let folder = TempDir::new().unwrap();
    let store = open_at(folder.path());
    let away = Faults {
        refused: 1.0,
        ..Faults::default()
    };
    let sound = ingest(&store, Faults::default(), 1);
    let source = sources::find("ticks").unwrap();
    for token in ["ONE", "TWO"] {
        let body = ticks_body(token, 40);
        let refused = ingest(&store, away, 1);
        let delivered = refused.deliver(source, body.as_bytes()).await;
        assert_eq!(delivered.unwrap().pending, 40);
    }
    let still_away = ingest(&store, away, 2);
    assert_eq!(still_away.drain(&store).await.unwrap(), 0);
    assert_eq!(sound.drain(&store).await.unwrap(), 80);
    assert_eq!(stream(&store).await.len(), 80);
    let ledger = store.committed_ledger().await.unwrap();
    assert_eq!((ledger.difference(), ledger.pending_rows), (0, 0));
}
