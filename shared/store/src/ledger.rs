//! The ledger counters, in the same commit that removes a delivery's outbox entry.

use std::sync::Arc;
use std::time::Duration;

use app::ledger::{LedgerEntry, LedgerView};
use app::ports::{LedgerWriter, OutboxId, PortError};
use async_trait::async_trait;

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::shared_state::SharedState;
use crate::writer::Commit;

#[async_trait]
impl LedgerWriter for EmbeddedStore {
    async fn commit(
        &self,
        outbox_id: Option<OutboxId>,
        entry: LedgerEntry,
    ) -> Result<(), PortError> {
        // Nobody waits for the sync here: if the commit is lost, the outbox entry still exists. After a
        // crash it is drained at the next start, and after a failure in this process.
        let count = move |commit: &mut Commit<'_>| {
            if let Some(OutboxId(number)) = outbox_id {
                // A missing entry was already counted when it was drained.
                if !commit.remove_outbox_entry(number)? {
                    return Ok(());
                }
                commit.state.pending_rows -= entry.stored.min(commit.state.pending_rows);
            }
            commit.state.committed.add(&entry);
            Ok(())
        };
        let inner = Arc::clone(&self.inner);
        self.enqueue(count, move |counted| {
            release_unless_counted(&inner, outbox_id, &counted);
        })
        .await
        .map_err(|error| error.at("commit the ledger counters"))
    }

    fn release(&self, outbox_id: OutboxId) {
        self.inner.released.add(outbox_id);
    }
}

/// Releases the outbox entry of a delivery that was not counted, so that it is drained.
fn release_unless_counted(
    inner: &SharedState,
    outbox_id: Option<OutboxId>,
    counted: &Result<(), StorageError>,
) {
    match (outbox_id, counted) {
        (Some(id), Ok(())) => inner.released.remove(id),
        (Some(id), Err(_)) => inner.released.add(id),
        (None, _) => {}
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

    /// The ledger for readers: as [`EmbeddedStore::committed_ledger`], or as of the last commit if the store does
    /// not commit within this time, or has failed. It reconciles in either case.
    pub async fn current_ledger(&self, within: Duration) -> LedgerView {
        let committed = tokio::time::timeout(within, self.committed_ledger()).await;
        match committed {
            Ok(Ok(ledger)) => ledger,
            Ok(Err(_)) | Err(_) => self.ledger(),
        }
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

#[cfg(test)]
mod tests {
    use app::ports::{Outbox as _, TickStore as _};

    use super::*;
    use crate::embedded::EmbeddedConfig;

    #[tokio::test]
    async fn an_entry_whose_count_fails_is_drained_by_this_process() {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig::new(folder.path().to_owned());
        let store = EmbeddedStore::open(&config).unwrap();
        let tick = testkit::ticks::tick("BTC", 1);
        let id = store
            .put(&testkit::ticks::in_cohort([&tick]))
            .await
            .unwrap()
            .outbox_id;
        assert_eq!(store.released(None).await.unwrap(), []);

        let inner = Arc::clone(&store.inner);
        let fails = |_: &mut Commit<'_>| Err(StorageError::Stopped);
        let done = move |counted| release_unless_counted(&inner, id, &counted);
        store.enqueue(fails, done).await.unwrap();
        let entries = store.released(None).await.unwrap();
        let ids: Vec<_> = entries.iter().map(|entry| Some(entry.id)).collect();
        assert_eq!(ids, [id]);

        let entry = LedgerEntry {
            received: 1,
            stored: 1,
            ..LedgerEntry::default()
        };
        LedgerWriter::commit(&store, id, entry).await.unwrap();
        assert_eq!(store.released(None).await.unwrap(), []);
        assert_eq!(store.committed_ledger().await.unwrap().pending_rows, 0);
    }
}
