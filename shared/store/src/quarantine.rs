//! Malformed entries, newest last.

use app::ports::{PortError, Quarantine, Quarantined};
use async_trait::async_trait;

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::{day, quarantined, sortable};

#[async_trait]
impl Quarantine for EmbeddedStore {
    async fn keep(&self, entries: &[Quarantined]) -> Result<(), PortError> {
        let rows: Result<Vec<_>, StorageError> = entries
            .iter()
            .map(|entry| Ok((entry.received_at_ms, quarantined::encode(entry)?)))
            .collect();
        let kept = async {
            self.check_disk()?;
            let rows = rows?;
            self.commit(move |commit| {
                for (received_at_ms, value) in rows {
                    commit.state.quarantined += 1;
                    let key = quarantined::key(received_at_ms, commit.state.quarantined);
                    commit.insert(&commit.spaces().quarantine, &key, value);
                }
                Ok(())
            })
            .await
        };
        kept.await.map_err(|error| error.at("quarantine entries"))
    }
}

impl EmbeddedStore {
    /// The newest malformed entries, newest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn quarantined(&self, limit: usize) -> Result<Vec<Quarantined>, StorageError> {
        self.read(move |inner| {
            let from = sortable(day::start_ms(inner.first_day()));
            let newest = inner.spaces.quarantine.range(from..).rev().take(limit);
            newest
                .map(|guard| quarantined::decode(&guard.value()?))
                .collect()
        })
        .await
    }
}
