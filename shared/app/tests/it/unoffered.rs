//! Stored ticks that neither the stream nor the redrive queue accepts.

use std::sync::{Arc, Mutex};

use app::ingest::{Ingest, IngestError};
use app::ledger::LedgerEntry;
use app::ports::{
    CohortTick, LedgerWriter, OutboxId, PortError, PutOutcome, PutReceipt, Quarantine, Quarantined,
    Refused, RolloutFlag, TickQueue, TickStore, TickStream,
};
use async_trait::async_trait;
use domain::{Percentage, Rollout, RolloutKey, Tick};
use testkit::ticks::START_MS;

const BODY: &[u8] = br#"[{"token":"A","price":"1","timestamp":1760000000000},
                         {"token":"B","price":"2","timestamp":1760000000000}]"#;

/// A store that accepts everything, with or without an outbox.
struct Store {
    outbox_id: Option<OutboxId>,
}

#[async_trait]
impl TickStore for Store {
    async fn put(&self, ticks: &[CohortTick]) -> Result<PutReceipt, PortError> {
        Ok(PutReceipt {
            outcomes: vec![PutOutcome::Stored; ticks.len()],
            outbox_id: self.outbox_id,
            retimed: Vec::new(),
            offer_again: Vec::new(),
        })
    }
}

/// A stream and a queue that accept nothing.
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
    async fn append(&self, _: &[&Tick], _: Option<OutboxId>) -> Result<Vec<Refused>, PortError> {
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
struct Ledger(Mutex<Vec<LedgerEntry>>);

#[async_trait]
impl LedgerWriter for Ledger {
    async fn commit(&self, _: Option<OutboxId>, entry: LedgerEntry) -> Result<(), PortError> {
        self.0.lock().unwrap().push(entry);
        Ok(())
    }
}

fn ingest(outbox_id: Option<OutboxId>, ledger: &Arc<Ledger>) -> Ingest {
    Ingest {
        store: Arc::new(Store { outbox_id }),
        stream: Arc::new(Away),
        broadcast: Arc::new(Away),
        redrive: Some(Arc::new(Away)),
        quarantine: Arc::new(Away),
        ledger: Arc::clone(ledger) as _,
        flag: Arc::new(Away),
        clock: Arc::new(|| START_MS),
        new_ids_from_ms: 0,
        settings: Arc::default(),
        recent_offers: Arc::default(),
    }
}

#[tokio::test]
async fn with_an_outbox_the_sender_need_not_deliver_again() {
    let ledger = Arc::new(Ledger::default());
    let source = sources::find("ticks").unwrap();
    let taken = ingest(Some(OutboxId(7)), &ledger)
        .deliver(source, BODY)
        .await;
    assert_eq!(taken.unwrap().pending, 2);
    assert!(
        ledger.0.lock().unwrap().is_empty(),
        "the outbox entry stands for the counts"
    );
}

#[tokio::test]
async fn without_an_outbox_the_sender_must_deliver_again() {
    let ledger = Arc::new(Ledger::default());
    let source = sources::find("ticks").unwrap();
    let refused = ingest(None, &ledger).deliver(source, BODY).await;
    let Err(IngestError::NotStored(error)) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.retryable);
    let entries = ledger.0.lock().unwrap();
    let entry = entries.first().unwrap();
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
