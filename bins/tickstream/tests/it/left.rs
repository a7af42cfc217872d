//! What deliveries leave between store and stream: it is offered once, beside everything else, and
//! what is under way is left alone.

use std::collections::HashSet;
use std::sync::Arc;

use app::ingest::Ingest;
use app::ports::{PortError, Refused, SequenceNumber, TickStore, TickStream};
use async_trait::async_trait;
use domain::Tick;
use futures_util::future::join_all;
use store::{Embedded, QueueName, SHARDS};
use tempfile::TempDir;
use testkit::faulty::Faults;
use testkit::ticks::{tick, ticks};
use tokio::sync::Semaphore;

use crate::process::{PATIENCE, made, start};
use crate::simulation::{ingest, open_at};

const NOTES: u32 = 600;
const NOTE_TICKS: u32 = 5;

/// A folder as a crash under load leaves it: many notes, of which every third was streamed, and
/// much in the stream since the first of them.
async fn crashed() -> TempDir {
    let folder = TempDir::new().unwrap();
    let store = open_at(&folder.path().join("store"));
    let notes: Vec<Vec<Tick>> = (0..NOTES)
        .map(|note| note * NOTE_TICKS..(note + 1) * NOTE_TICKS)
        .map(|range| range.map(|n| tick("LEFT", n)).collect())
        .collect();
    let put = async |note: &Vec<Tick>| {
        let note: Vec<&Tick> = note.iter().collect();
        store.put(&note).await.unwrap();
    };
    join_all(notes.iter().map(put)).await;
    let others = ticks(&["LEFT"], 60_000).split_off((NOTES * NOTE_TICKS) as usize);
    let streamed: Vec<&Tick> = notes.iter().step_by(3).flatten().chain(&others).collect();
    for part in streamed.chunks(5_000) {
        store.append(part).await.unwrap();
    }
    folder
}

async fn stream(store: &Embedded) -> Vec<Tick> {
    let mut all = Vec::new();
    for shard in 0..SHARDS {
        let records = store.read_stream(shard, SequenceNumber::START, usize::MAX);
        all.extend(records.await.unwrap().into_iter().map(|record| record.tick));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_a_crash_serves_at_once_and_offers_what_is_left_once() {
    let folder = crashed().await;
    // Stopped in the middle of it, it goes on at the next start.
    start(&folder, &[]).await.stop().await;

    let process = start(&folder, &[]).await;
    let health = tokio::time::timeout(PATIENCE, process.get("/healthz"));
    assert_eq!(health.await.expect("it serves").0, 200);
    // Who had no answer delivers again, and meets what is stored.
    let (_, answer) = process.deliver("ticks", made("NEW", 10)).await;
    assert_eq!(answer["streamed"], 10);
    let ledger = process
        .until("/api/ledger", |ledger| ledger["pending"] == 0)
        .await;
    assert_eq!(ledger["difference"], 0, "{ledger}");
    assert_eq!(ledger["streamed"], NOTES * NOTE_TICKS + 10, "{ledger}");
    process.stop().await;

    let store = open_at(&folder.path().join("store"));
    let streamed = stream(&store).await;
    let ids: HashSet<_> = streamed.iter().map(|tick| tick.tick_id).collect();
    assert_eq!(ids.len(), streamed.len(), "nothing is doubled");
    let left = ticks(&["LEFT"], NOTES * NOTE_TICKS);
    let lost = left.iter().filter(|tick| !ids.contains(&tick.tick_id));
    assert_eq!(lost.count(), 0, "nothing is lost");
}

/// A stream that takes its time.
struct Gate {
    store: Embedded,
    entered: Semaphore,
    open: Semaphore,
}

impl Gate {
    fn before(store: &Embedded) -> Arc<Self> {
        Arc::new(Self {
            store: store.clone(),
            entered: Semaphore::new(0),
            open: Semaphore::new(0),
        })
    }
}

#[async_trait]
impl TickStream for Gate {
    async fn append(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        self.entered.add_permits(1);
        self.open.acquire().await.unwrap().forget();
        self.store.append(ticks).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_under_way_is_left_alone_however_long_it_takes() {
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
        let body = made("SLOW", 40);
        slow.deliver(source, body.as_bytes()).await.unwrap()
    });
    gate.entered.acquire().await.unwrap().forget();
    assert_eq!(sound.work_off(&store).await.unwrap(), 0);
    gate.open.add_permits(1);
    assert_eq!(delivering.await.unwrap().counts.streamed, 40);
    assert_eq!(sound.work_off(&store).await.unwrap(), 0);
    assert_eq!(stream(&store).await.len(), 40);
    assert_eq!(store.settled_ledger().await.unwrap().pending_rows, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_was_cut_off_is_worked_off_by_the_same_process() {
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
        let body = made("CUT", 40);
        slow.deliver(source, body.as_bytes()).await
    });
    gate.entered.acquire().await.unwrap().forget();
    delivering.abort();
    assert!(delivering.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(sound.work_off(&store).await.unwrap(), 40);
    assert_eq!(sound.work_off(&store).await.unwrap(), 0);
    assert_eq!(stream(&store).await.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_took_is_offered_again_by_the_same_process() {
    let folder = TempDir::new().unwrap();
    let store = open_at(folder.path());
    let away = Faults {
        refused: 1.0,
        ..Faults::default()
    };
    let sound = ingest(&store, Faults::default(), 1);
    let source = sources::find("ticks").unwrap();
    for token in ["ONE", "TWO"] {
        let body = made(token, 40);
        let refused = ingest(&store, away, 1);
        let delivered = refused.deliver(source, body.as_bytes()).await;
        assert_eq!(delivered.unwrap().pending, 40);
    }
    let still_away = ingest(&store, away, 2);
    assert_eq!(still_away.work_off(&store).await.unwrap(), 0);
    assert_eq!(sound.work_off(&store).await.unwrap(), 80);
    assert_eq!(stream(&store).await.len(), 80);
    assert_eq!(store.queue(QueueName::Redrive).depth(), 0);
    let ledger = store.settled_ledger().await.unwrap();
    assert_eq!((ledger.difference(), ledger.pending_rows), (0, 0));
}
