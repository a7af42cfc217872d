//! A delivery with valid ticks and malformed entries, while the quarantine is unavailable.

use std::sync::{Arc, Mutex};

use app::ingest::{Delivered, Ingest, IngestError};
use app::ledger::LedgerEntry;
use app::ports::{
    CohortTick, LedgerWriter, OutboxId, PortError, PutOutcome, PutReceipt, Quarantine, Quarantined,
    Refused, RolloutFlag, TickQueue, TickStore, TickStream,
};
use async_trait::async_trait;
use domain::{Percentage, Rollout, RolloutKey, Tick};
use testkit::ticks::START_MS;

const BODY: &[u8] = br#"[{"token":"A","price":"1","timestamp":1760000000000},
                         {"token":"B","price":"-2","timestamp":1760000000000}]"#;

/// The calls, in order.
#[derive(Default)]
struct World {
    events: Mutex<Vec<&'static str>>,
    ledger: Mutex<LedgerEntry>,
    quarantine_is_unavailable: bool,
    store_is_unavailable: bool,
    /// Whether the store already has the tick.
    again: bool,
}

impl World {
    fn record(&self, event: &'static str) {
        self.events.lock().unwrap().push(event);
    }
}

fn unavailable() -> PortError {
    PortError {
        operation: "try",
        retryable: true,
        source: "a fault of the test".into(),
    }
}

#[async_trait]
impl TickStore for World {
    async fn put(&self, ticks: &[CohortTick]) -> Result<PutReceipt, PortError> {
        if self.store_is_unavailable {
            return Err(unavailable());
        }
        self.record("stored");
        let outcome = if self.again {
            PutOutcome::Duplicate
        } else {
            PutOutcome::Stored
        };
        Ok(PutReceipt {
            outcomes: vec![outcome; ticks.len()],
            outbox_id: None,
            retimed: Vec::new(),
            offer_again: Vec::new(),
        })
    }
}

#[async_trait]
impl TickStream for World {
    async fn append(&self, _: &[&Tick], _: Option<OutboxId>) -> Result<Vec<Refused>, PortError> {
        self.record("streamed");
        Ok(Vec::new())
    }
}

#[async_trait]
impl TickQueue for World {
    async fn send(&self, _: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        self.record("broadcast");
        Ok(Vec::new())
    }
}

#[async_trait]
impl Quarantine for World {
    async fn keep(&self, _: &[Quarantined]) -> Result<(), PortError> {
        if self.quarantine_is_unavailable {
            return Err(unavailable());
        }
        self.record("kept");
        Ok(())
    }
}

#[async_trait]
impl RolloutFlag for World {
    async fn current(&self) -> Rollout {
        Rollout {
            use_kinesis: true,
            percentage: Percentage::FULL,
            key: RolloutKey::Tick,
        }
    }
}

#[async_trait]
impl LedgerWriter for World {
    async fn commit(&self, _: Option<OutboxId>, entry: LedgerEntry) -> Result<(), PortError> {
        self.ledger.lock().unwrap().add(&entry);
        Ok(())
    }
}

async fn deliver(world: &Arc<World>) -> Result<Delivered, IngestError> {
    let ingest = Ingest {
        store: Arc::clone(world) as _,
        stream: Arc::clone(world) as _,
        broadcast: Arc::clone(world) as _,
        redrive: Some(Arc::clone(world) as _),
        quarantine: Arc::clone(world) as _,
        ledger: Arc::clone(world) as _,
        flag: Arc::clone(world) as _,
        clock: Arc::new(|| START_MS),
        new_ids_from_ms: 0,
        settings: Arc::default(),
        recent_offers: Arc::default(),
    };
    let source = sources::find("ticks").unwrap();
    ingest.deliver(source, BODY).await
}

/// received = stored + duplicate + rejected + ignored.
#[track_caller]
fn reconciles(ledger: &LedgerEntry) {
    let accounted = ledger.stored + ledger.duplicate + ledger.rejected() + ledger.ignored;
    assert_eq!(ledger.received, accounted, "{ledger:?}");
}

#[tokio::test]
async fn valid_ticks_are_stored_and_offered_and_the_sender_retries_for_the_malformed_entry() {
    let world = Arc::new(World {
        quarantine_is_unavailable: true,
        ..World::default()
    });
    let refused = deliver(&world).await;
    assert!(
        matches!(refused, Err(IngestError::NotStored(_))),
        "the malformed entry is not kept yet: {refused:?}"
    );
    let events = world.events.lock().unwrap().clone();
    assert_eq!(events[0], "stored");
    assert!(events.contains(&"streamed") && events.contains(&"broadcast"));
    {
        let ledger = world.ledger.lock().unwrap();
        assert_eq!(
            (ledger.received, ledger.stored, ledger.rejected()),
            (1, 1, 0)
        );
        reconciles(&ledger);
    }

    // The sender retries, and the quarantine is available again.
    let ledger = std::mem::take(&mut *world.ledger.lock().unwrap());
    let again = Arc::new(World {
        again: true,
        ledger: Mutex::new(ledger),
        ..World::default()
    });
    let taken = deliver(&again).await.unwrap();
    assert_eq!(taken.malformed.len(), 1);
    assert!(again.events.lock().unwrap().contains(&"kept"));
    let ledger = again.ledger.lock().unwrap();
    assert_eq!(
        (
            ledger.received,
            ledger.stored,
            ledger.duplicate,
            ledger.rejected()
        ),
        (3, 1, 1, 1)
    );
    reconciles(&ledger);
}

#[tokio::test]
async fn ticks_are_stored_before_entries_are_quarantined() {
    let world = Arc::new(World::default());
    deliver(&world).await.unwrap();
    let events = world.events.lock().unwrap().clone();
    assert_eq!(events[0], "stored");
    assert!(events.contains(&"kept"));

    let world = Arc::new(World {
        store_is_unavailable: true,
        ..World::default()
    });
    assert!(deliver(&world).await.is_err());
    assert!(
        world.events.lock().unwrap().is_empty(),
        "the whole delivery is repeated"
    );
    assert_eq!(*world.ledger.lock().unwrap(), LedgerEntry::default());
}
