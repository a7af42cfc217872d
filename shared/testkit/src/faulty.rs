//! Injects faults into any port, from a seed, so a failing run can be repeated.

use std::sync::{Arc, Mutex, PoisonError};

use app::ledger::LedgerEntry;
use app::ports::{
    CohortTick, LedgerWriter, OutboxId, PortError, PutReceipt, Refused, TickQueue, TickStore,
    TickStream,
};
use async_trait::async_trait;
use domain::Tick;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The probabilities of faults, each from 0 to 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The call fails without effect.
    pub before: f64,
    /// The call fails although it took effect: its response is lost.
    pub after: f64,
    /// A position of a batch is refused.
    pub refused: f64,
}

/// A port with faults.
pub struct Faulty<T> {
    inner: Arc<T>,
    faults: Faults,
    random: Mutex<StdRng>,
}

impl<T> Faulty<T> {
    /// Wraps a port.
    #[must_use]
    pub fn new(inner: Arc<T>, faults: Faults, seed: u64) -> Self {
        Self {
            inner,
            faults,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    fn happens(&self, share: f64) -> bool {
        self.random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random_bool(share)
    }

    fn fail(&self, share: f64, operation: &'static str) -> Result<(), PortError> {
        if self.happens(share) {
            return Err(PortError {
                operation,
                retryable: true,
                source: "a fault of the test".into(),
            });
        }
        Ok(())
    }

    /// Splits a batch into accepted ticks and refused positions.
    fn split<'a>(&self, ticks: &[&'a Tick]) -> (Vec<&'a Tick>, Vec<Refused>) {
        let (mut through, mut refused) = (Vec::new(), Vec::new());
        for (index, tick) in ticks.iter().enumerate() {
            if self.happens(self.faults.refused) {
                refused.push(Refused {
                    index,
                    reason: "a fault of the test".to_owned(),
                });
            } else {
                through.push(*tick);
            }
        }
        (through, refused)
    }
}

#[async_trait]
impl<T: TickStream> TickStream for Faulty<T> {
    async fn append(
        &self,
        ticks: &[&Tick],
        outbox_id: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        self.fail(self.faults.before, "append")?;
        let (through, refused) = self.split(ticks);
        let lost = self.inner.append(&through, outbox_id).await?;
        assert!(lost.is_empty(), "the inner port has no faults");
        self.fail(self.faults.after, "append")?;
        Ok(refused)
    }
}

#[async_trait]
impl<T: TickQueue> TickQueue for Faulty<T> {
    async fn send(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        self.fail(self.faults.before, "send")?;
        let (through, refused) = self.split(ticks);
        let lost = self.inner.send(&through).await?;
        assert!(lost.is_empty(), "the inner port has no faults");
        self.fail(self.faults.after, "send")?;
        Ok(refused)
    }
}

#[async_trait]
impl<T: TickStore> TickStore for Faulty<T> {
    async fn put(&self, ticks: &[CohortTick]) -> Result<PutReceipt, PortError> {
        self.fail(self.faults.before, "put")?;
        let receipt = self.inner.put(ticks).await?;
        self.fail(self.faults.after, "put")?;
        Ok(receipt)
    }
}

#[async_trait]
impl<T: LedgerWriter> LedgerWriter for Faulty<T> {
    async fn commit(
        &self,
        outbox_id: Option<OutboxId>,
        entry: LedgerEntry,
    ) -> Result<(), PortError> {
        self.fail(self.faults.before, "commit")?;
        self.inner.commit(outbox_id, entry).await
    }

    fn release(&self, outbox_id: OutboxId) {
        self.inner.release(outbox_id);
    }
}
