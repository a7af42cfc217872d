//! Malformed entries, newest last.

use app::ports::{PortError, Quarantine, Quarantined};
use async_trait::async_trait;

use crate::embedded::Embedded;
use crate::error::StorageError;
use crate::spaces::sortable;

#[async_trait]
impl Quarantine for Embedded {
    async fn keep(&self, entries: &[Quarantined]) -> Result<(), PortError> {
        let rows: Result<Vec<_>, _> = entries
            .iter()
            .map(|entry| Ok((sortable(entry.received_at_ms), serde_json::to_vec(entry)?)))
            .collect();
        let kept = async {
            let rows = rows.map_err(|e: serde_json::Error| StorageError::corrupt("entry", e))?;
            self.commit(move |commit| {
                for (received_at, value) in rows {
                    commit.state.quarantined += 1;
                    let number = commit.state.quarantined.to_be_bytes();
                    let key = [received_at, number].concat();
                    commit.insert(&commit.spaces().quarantine, &key, value);
                }
                Ok(())
            })
            .await
        };
        kept.await.map_err(|error| error.at("quarantine entries"))
    }
}

impl Embedded {
    /// The newest malformed entries, newest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn quarantined(&self, limit: usize) -> Result<Vec<Quarantined>, StorageError> {
        self.read(move |inner| {
            let newest = inner.spaces.quarantine.iter().rev().take(limit);
            newest
                .map(|guard| {
                    serde_json::from_slice(&guard.value()?)
                        .map_err(|error| StorageError::corrupt("quarantined entry", error))
                })
                .collect()
        })
        .await
    }
}
