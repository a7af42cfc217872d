//! Stored ticks that neither the stream nor the redrive queue takes.

use std::sync::{Arc, Mutex};

use app::ingest::{Ingest, IngestError};
use app::ledger::LedgerEntry;
use app::ports::{
    LedgerWriter, PendingId, PortError, PutOutcome, PutReceipt, Quarantine, Quarantined, Refused,
    RolloutFlag, TickQueue, TickStore, TickStream,
};
use async_trait::async_trait;
use domain::{Percentage, Rollout, RolloutKey, Tick};
use testkit::ticks::START_MS;

const BODY: &[u8] = br#"[{"token":"A","price":"1","timestamp":1760000000000},
                         {"token":"B","price":"2","timestamp":1760000000000}]"#;

/// A store that takes everything, with or without a note of it.
struct Store {
    note: Option<PendingId>,
}

#[async_trait]
impl TickStore for Store {
    async fn put(&self, ticks: &[&Tick]) -> Result<PutReceipt, PortError> {
        Ok(PutReceipt {
            outcomes: vec![PutOutcome::Stored; ticks.len()],
            pending: self.note,
            restamped: Vec::new(),
        })
    }
}

/// A stream and a queue that take nothing.
struct Away;

fn away() -> PortError {
    PortError {
        operation: "try",
        retryable: true,
        source: "a fault of the test".into(),
    }
}

#[async_trait]
impl TickStream for Away {
    async fn append(&self, _: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        Err(away())
    }
}

#[async_trait]
impl TickQueue for Away {
    async fn send(&self, _: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        Err(away())
    }
}

#[async_trait]
impl Quarantine for Away {
    async fn keep(&self, _: &[Quarantined]) -> Result<(), PortError> {
        Err(away())
    }
}

#[async_trait]
impl RolloutFlag for Away {
    async fn current(&self) -> Rollout {
        Rollout {
            use_kinesis: true,
            percentage: Percentage::FULL,
            key: RolloutKey::Tick,
        }
    }
}

#[derive(Default)]
struct Books(Mutex<Vec<LedgerEntry>>);

#[async_trait]
impl LedgerWriter for Books {
    async fn settle(&self, _: Option<PendingId>, entry: LedgerEntry) -> Result<(), PortError> {
        self.0.lock().unwrap().push(entry);
        Ok(())
    }
}

fn ingest(note: Option<PendingId>, books: &Arc<Books>) -> Ingest {
    Ingest {
        store: Arc::new(Store { note }),
        stream: Arc::new(Away),
        broadcast: Arc::new(Away),
        redrive: Arc::new(Away),
        quarantine: Arc::new(Away),
        ledger: Arc::clone(books) as _,
        flag: Arc::new(Away),
        clock: Arc::new(|| START_MS),
    }
}

#[tokio::test]
async fn a_store_with_notes_offers_them_again_and_the_sender_need_not() {
    let books = Arc::new(Books::default());
    let source = sources::find("ticks").unwrap();
    let taken = ingest(Some(PendingId(7)), &books)
        .deliver(source, BODY)
        .await;
    assert_eq!(taken.unwrap().pending, 2);
    assert!(
        books.0.lock().unwrap().is_empty(),
        "the note holds the counts"
    );
}

#[tokio::test]
async fn without_notes_the_sender_must_deliver_again() {
    let books = Arc::new(Books::default());
    let source = sources::find("ticks").unwrap();
    let refused = ingest(None, &books).deliver(source, BODY).await;
    let Err(IngestError::NotStored(error)) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.retryable);
    let told = books.0.lock().unwrap();
    let entry = told.first().unwrap();
    assert_eq!(
        (
            entry.stored,
            entry.in_cohort,
            entry.streamed,
            entry.redriven
        ),
        (2, 2, 0, 0)
    );
}
