//! The ledger counters, in the same commit that removes a delivery's outbox entry.

use app::ledger::{LedgerEntry, LedgerView};
use app::ports::{LedgerWriter, OutboxId, PortError};
use async_trait::async_trait;

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;

#[async_trait]
impl LedgerWriter for EmbeddedStore {
    async fn commit(
        &self,
        outbox_id: Option<OutboxId>,
        entry: LedgerEntry,
    ) -> Result<(), PortError> {
        // Nobody waits for the sync here: if the commit is lost in a crash, the outbox entry still
        // exists, and is drained after the next start.
        self.enqueue(move |commit| {
            if let Some(OutboxId(number)) = outbox_id {
                // A missing entry was already counted when it was drained.
                if !commit.remove_outbox_entry(number)? {
                    return Ok(());
                }
                commit.state.pending_rows -= entry.stored.min(commit.state.pending_rows);
            }
            commit.state.committed.add(&entry);
            Ok(())
        })
        .await
        .map_err(|error| error.at("commit the ledger counters"))?;
        if let Some(id) = outbox_id {
            self.inner.released.remove(id);
        }
        Ok(())
    }

    fn release(&self, outbox_id: OutboxId) {
        self.inner.released.add(outbox_id);
    }
}

impl EmbeddedStore {
    /// The ledger, including everything that was queued before this call.
    ///
    /// # Errors
    /// [`StorageError`] if the store is closing or fails.
    pub async fn committed_ledger(&self) -> Result<LedgerView, StorageError> {
        // Jobs run in order, so all earlier ones are done once this one is.
        self.commit(|_| Ok(())).await?;
        Ok(self.ledger())
    }

    /// The ledger as of the last commit.
    #[must_use]
    pub fn ledger(&self) -> LedgerView {
        self.inner.with_state(|state| LedgerView {
            committed: state.committed.clone(),
            stored_rows: state.stored_rows,
            pending_rows: state.pending_rows,
            quarantined: state.quarantined,
        })
    }
}
