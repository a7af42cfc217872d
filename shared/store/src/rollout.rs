//! The rollout flag and the history of its changes, which are kept across restarts.

use app::ports::{PortError, RolloutFlag, RolloutStore};
use async_trait::async_trait;
use domain::{Rollout, RolloutChange};

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::rollout_change;

/// The flag of an embedded store: the last change at run time, or else the configuration at start. If the
/// process was started with the stream off, no change turns it on.
pub struct EmbeddedFlag {
    store: EmbeddedStore,
    started_with: Rollout,
}

impl EmbeddedStore {
    /// The flag; `started_with` applies until the first change at run time.
    #[must_use]
    pub fn flag(&self, started_with: Rollout) -> EmbeddedFlag {
        EmbeddedFlag {
            store: self.clone(),
            started_with,
        }
    }

    /// The last change, if there was one.
    #[must_use]
    pub fn last_rollout_change(&self) -> Option<RolloutChange> {
        self.inner.with_state(|state| state.rollout.clone())
    }
}

#[async_trait]
impl RolloutFlag for EmbeddedFlag {
    async fn current(&self) -> Rollout {
        let changed = self
            .store
            .inner
            .with_state(|state| state.rollout.as_ref().map(|c| c.rollout));
        let rollout = changed.unwrap_or(self.started_with);
        Rollout {
            use_kinesis: rollout.use_kinesis && self.started_with.use_kinesis,
            ..rollout
        }
    }
}

#[async_trait]
impl RolloutStore for EmbeddedStore {
    async fn change(&self, change: RolloutChange) -> Result<(), PortError> {
        self.commit(move |commit| {
            let value = rollout_change::encode(&change)?;
            commit.state.rollouts += 1;
            let key = commit.state.rollouts.to_be_bytes();
            commit.insert(&commit.spaces().rollouts, &key, value);
            commit.state.rollout = Some(change);
            Ok(())
        })
        .await
        .map_err(|error| error.at("change the rollout"))
    }

    async fn history(&self, limit: usize) -> Result<Vec<RolloutChange>, PortError> {
        self.read(move |inner| {
            let newest = inner.spaces.rollouts.iter().rev().take(limit);
            newest
                .map(|guard| rollout_change::decode(&guard.value()?))
                .collect()
        })
        .await
        .map_err(|error: StorageError| error.at("read the rollout's history"))
    }
}
