//! The books, settled in the same commit that drops a delivery's pending note.

use app::ledger::{LedgerEntry, LedgerView};
use app::ports::{LedgerWriter, PendingId, PortError};
use async_trait::async_trait;

use crate::embedded::Embedded;
use crate::error::StorageError;

#[async_trait]
impl LedgerWriter for Embedded {
    async fn settle(
        &self,
        pending: Option<PendingId>,
        entry: LedgerEntry,
    ) -> Result<(), PortError> {
        // Nobody waits for the disk here: were the commit lost in a crash, the note would still
        // be there, and be worked off at the next start.
        self.enqueue(move |commit| {
            if let Some(PendingId(number)) = pending {
                // A note that is gone was settled by whoever worked it off.
                if !commit.settle(number)? {
                    return Ok(());
                }
                commit.state.pending_rows -= entry.stored.min(commit.state.pending_rows);
            }
            commit.state.settled.add(&entry);
            Ok(())
        })
        .await
        .map_err(|error| error.at("settle the books"))?;
        if let Some(pending) = pending {
            self.inner.backlog.settled(pending);
        }
        Ok(())
    }

    fn leave(&self, pending: PendingId) {
        self.inner.backlog.leave(pending);
    }
}

impl Embedded {
    /// The books with all that was settled before this call.
    ///
    /// # Errors
    /// [`StorageError`] where the store is closing or fails.
    pub async fn settled_ledger(&self) -> Result<LedgerView, StorageError> {
        // Jobs are done in order: once this one is, those before it are.
        self.commit(|_| Ok(())).await?;
        Ok(self.ledger())
    }

    /// The books as of the last commit.
    #[must_use]
    pub fn ledger(&self) -> LedgerView {
        self.inner.look(|state| LedgerView {
            settled: state.settled.clone(),
            stored_rows: state.stored_rows,
            pending_rows: state.pending_rows,
            quarantined: state.quarantined,
        })
    }
}
