//! Ports of a run: a process that may end at any call, answers that get lost, and a log of the live
//! messages.

use std::future::pending;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use app::ledger::LedgerEntry;
use app::ports::{
    Clock, CohortTick, LedgerWriter, OutboxId, PortError, PutReceipt, Quarantine, Quarantined,
    Refused, RolloutFlag, TickQueue, TickStore, TickStream,
};
use async_trait::async_trait;
use domain::{Rollout, Tick};
use tokio::sync::Notify;

use crate::scenario::Weather;

/// The clock of a run.
#[derive(Debug, Default)]
pub(crate) struct RunClock(pub(crate) AtomicI64);

impl Clock for RunClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The flag of a run.
#[derive(Debug)]
pub(crate) struct RunFlag(pub(crate) Mutex<Rollout>);

#[async_trait]
impl RolloutFlag for RunFlag {
    async fn current(&self) -> Rollout {
        *self.0.lock().unwrap()
    }
}

/// A queue that keeps what it got: the live messages of a run, or the redrive queue.
#[derive(Debug, Default)]
pub(crate) struct Queue(pub(crate) Mutex<Vec<Tick>>);

#[async_trait]
impl TickQueue for Queue {
    async fn send(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        self.0
            .lock()
            .unwrap()
            .extend(ticks.iter().copied().cloned());
        Ok(Vec::new())
    }
}

/// A quarantine and a ledger for a side that has none here.
#[derive(Debug)]
pub(crate) struct Ignored;

#[async_trait]
impl Quarantine for Ignored {
    async fn keep(&self, _: &[Quarantined]) -> Result<(), PortError> {
        Ok(())
    }
}

#[async_trait]
impl LedgerWriter for Ignored {
    async fn commit(&self, _: Option<OutboxId>, _: LedgerEntry) -> Result<(), PortError> {
        Ok(())
    }
}

/// The life of one process during one delivery.
#[derive(Debug)]
pub(crate) struct Life {
    weather: Weather,
    calls: AtomicU32,
    /// Woken when the process ends.
    pub(crate) died: Notify,
}

impl Life {
    pub(crate) fn new(weather: Weather) -> Arc<Self> {
        Arc::new(Self {
            weather,
            calls: AtomicU32::new(0),
            died: Notify::new(),
        })
    }

    /// Makes a call of a port in this process.
    async fn call<T>(
        &self,
        operation: &'static str,
        may_lose: bool,
        call: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let dies = self
            .weather
            .dies_at_call
            .is_some_and(|at| u32::from(at) == number);
        if dies && !self.weather.after_effect {
            self.die().await;
        }
        let answer = call.await;
        if dies {
            self.die().await;
        }
        if may_lose && self.weather.lost_answers >> (number % 16) & 1 == 1 {
            return Err(PortError {
                operation,
                retryable: true,
                source: "the answer was lost".into(),
            });
        }
        answer
    }

    async fn die(&self) {
        self.died.notify_one();
        pending::<()>().await;
    }
}

/// A port as a mortal process calls it.
pub(crate) struct Mortal<T: ?Sized> {
    pub(crate) life: Arc<Life>,
    /// Whether responses of this port can get lost: those of a service, not of an embedded store.
    pub(crate) is_remote: bool,
    pub(crate) port: Arc<T>,
}

#[async_trait]
impl<T: TickStore + ?Sized> TickStore for Mortal<T> {
    async fn put(&self, ticks: &[CohortTick]) -> Result<PutReceipt, PortError> {
        let put = self.port.put(ticks);
        self.life.call("store ticks", self.is_remote, put).await
    }
}

#[async_trait]
impl<T: TickStream + ?Sized> TickStream for Mortal<T> {
    async fn append(
        &self,
        ticks: &[&Tick],
        outbox_id: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        let weather = self.life.weather;
        let refuses = |index: &usize| weather.stream_refuses && index % 3 == 1;
        let (refused, accepted): (Vec<usize>, Vec<usize>) = (0..ticks.len()).partition(refuses);
        let accepted: Vec<&Tick> = accepted.into_iter().map(|index| ticks[index]).collect();
        let append = async {
            let left = self.port.append(&accepted, outbox_id).await?;
            assert_eq!(left, [], "only the weather refuses");
            Ok(refused
                .into_iter()
                .map(|index| Refused {
                    index,
                    reason: "the weather".to_owned(),
                })
                .collect())
        };
        self.life.call("append", true, append).await
    }
}

#[async_trait]
impl<T: TickQueue + ?Sized> TickQueue for Mortal<T> {
    async fn send(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        let send = self.port.send(ticks);
        self.life.call("send", self.is_remote, send).await
    }
}

#[async_trait]
impl<T: LedgerWriter + ?Sized> LedgerWriter for Mortal<T> {
    async fn commit(
        &self,
        outbox_id: Option<OutboxId>,
        entry: LedgerEntry,
    ) -> Result<(), PortError> {
        let commit = self.port.commit(outbox_id, entry);
        self.life.call("commit", self.is_remote, commit).await
    }

    fn release(&self, outbox_id: OutboxId) {
        self.port.release(outbox_id);
    }
}
