//! A retimed tick, which the store has under an earlier time, is forwarded with that time.

use std::sync::{Arc, Mutex};

use app::ingest::Ingest;
use app::ledger::LedgerEntry;
use app::ports::{
    Clock, CohortTick, LedgerWriter, OutboxId, PortError, PutOutcome, PutReceipt, Quarantine,
    Quarantined, Refused, RolloutFlag, TickQueue, TickStore, TickStream,
};
use async_trait::async_trait;
use domain::{Percentage, Rollout, RolloutKey, Tick};
use sources::{Entry, ParseContext, Source, Unreadable};
use testkit::ticks::{START_MS, tick};

/// A source whose delivery has three arrival-stamped ticks.
struct Stamping;

impl Source for Stamping {
    fn name(&self) -> &'static str {
        "stamping"
    }

    fn read(&self, _: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        let stamped = |n| Tick {
            timestamp_ms: context.now_ms,
            ingested_at_ms: context.now_ms,
            ..tick("BTC", n)
        };
        Ok((0..3).map(|n| Entry::ArrivalStamped(stamped(n))).collect())
    }
}

/// A store that got the second of the three ticks a minute ago, and refuses none.
struct Restamping;

#[async_trait]
impl TickStore for Restamping {
    async fn put(&self, ticks: &[CohortTick]) -> Result<PutReceipt, PortError> {
        Ok(PutReceipt {
            outcomes: vec![PutOutcome::Stored; ticks.len()],
            outbox_id: None,
            retimed: vec![(1, START_MS - 60_000), (77, 0)],
            offer_again: Vec::new(),
        })
    }
}

/// Accepts and records everything.
#[derive(Default)]
struct Seen(Mutex<Vec<Tick>>);

impl Seen {
    fn take(&self, ticks: &[&Tick]) -> Vec<Refused> {
        let mut seen = self.0.lock().unwrap();
        seen.extend(ticks.iter().map(|tick| (*tick).clone()));
        Vec::new()
    }

    fn times(&self) -> Vec<(i64, i64)> {
        let seen = self.0.lock().unwrap();
        seen.iter()
            .map(|tick| (tick.timestamp_ms, tick.ingested_at_ms))
            .collect()
    }
}

#[async_trait]
impl TickStream for Seen {
    async fn append(
        &self,
        ticks: &[&Tick],
        _: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        Ok(self.take(ticks))
    }
}

#[async_trait]
impl TickQueue for Seen {
    async fn send(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        Ok(self.take(ticks))
    }
}

/// The ports that are not relevant here.
struct Beside;

#[async_trait]
impl Quarantine for Beside {
    async fn keep(&self, _: &[Quarantined]) -> Result<(), PortError> {
        Ok(())
    }
}

#[async_trait]
impl LedgerWriter for Beside {
    async fn commit(&self, _: Option<OutboxId>, _: LedgerEntry) -> Result<(), PortError> {
        Ok(())
    }
}

#[async_trait]
impl RolloutFlag for Beside {
    async fn current(&self) -> Rollout {
        Rollout {
            use_kinesis: true,
            percentage: Percentage::FULL,
            key: RolloutKey::Tick,
        }
    }
}

impl Clock for Beside {
    fn now_ms(&self) -> i64 {
        START_MS
    }
}

#[tokio::test]
async fn stream_and_broadcast_get_the_stored_time_of_a_tick() {
    let [stream, broadcast, redrive] = [(); 3].map(|()| Arc::new(Seen::default()));
    let ingest = Ingest {
        store: Arc::new(Restamping),
        stream: stream.clone(),
        broadcast: broadcast.clone(),
        redrive: Some(redrive.clone()),
        quarantine: Arc::new(Beside),
        ledger: Arc::new(Beside),
        flag: Arc::new(Beside),
        clock: Arc::new(Beside),
        new_ids_from_ms: 0,
        settings: Arc::default(),
        recent_offers: Arc::default(),
    };
    let delivered = ingest.deliver(&Stamping, b"").await.unwrap();
    assert_eq!((delivered.counts.stored, delivered.counts.streamed), (3, 3));
    let now = (START_MS, START_MS);
    let first = (START_MS - 60_000, START_MS - 60_000);
    assert_eq!(stream.times(), [now, first, now]);
    assert_eq!(broadcast.times(), [now, first, now]);
    assert_eq!(redrive.times(), []);
}
