//! Malformed entries, newest last.

use app::ports::{PortError, Quarantine, Quarantined};
use async_trait::async_trait;

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::{day, quarantined, sortable};
use crate::writer::Commit;

#[async_trait]
impl Quarantine for EmbeddedStore {
    async fn keep(&self, entries: &[Quarantined]) -> Result<(), PortError> {
        let rows = Rows::of(entries);
        let kept = async {
            self.check_disk()?;
            let rows = rows?;
            self.commit(move |commit| {
                rows.insert(commit);
                Ok(())
            })
            .await
        };
        kept.await.map_err(|error| error.at("quarantine entries"))
    }
}

/// Entries in their stored form: the time of receipt, and the value.
pub(crate) struct Rows(Vec<(i64, Vec<u8>)>);

impl Rows {
    pub(crate) fn of(entries: &[Quarantined]) -> Result<Self, StorageError> {
        let row = |entry: &Quarantined| Ok((entry.received_at_ms, quarantined::encode(entry)?));
        entries.iter().map(row).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn insert(self, commit: &mut Commit<'_>) {
        let Self(rows) = self;
        for (received_at_ms, value) in rows {
            commit.state.quarantined += 1;
            let key = quarantined::key(received_at_ms, commit.state.quarantined);
            commit.insert(&commit.spaces().quarantine, &key, value);
        }
    }
}

impl EmbeddedStore {
    /// Counts and logs ticks of the stream that a consumer has set aside.
    pub(crate) fn report_set_aside(&self, consumer: &'static str, entries: &[Quarantined]) {
        for Quarantined { entry, .. } in entries {
            tracing::error!(
                consumer,
                entry.message,
                entry.raw,
                "a tick was set aside in the quarantine"
            );
        }
        self.inner.count_set_aside(consumer, entries.len() as u64);
    }

    /// How many ticks of the stream a consumer has set aside since the start.
    #[must_use]
    pub fn set_aside(&self, consumer: &str) -> u64 {
        self.inner.set_aside(consumer)
    }

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
