//! The right to compact an archive that several machines share: an object that one process holds,
//! and renews while it works.

use std::sync::Arc;
use std::time::Duration;

use app::objects::{Condition, Objects, Replaced};
use app::ports::{Clock, PortError};
use app::time_text::time_text;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// The lease's name in the archive.
pub const LEASE: &str = "_compaction.lease";

/// How long a lease is valid after its last renewal. The clocks of machines may differ by minutes.
const VALID_MS: i64 = 30 * 60 * 1_000;

/// How often it is renewed.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Serialize, Deserialize)]
struct LeaseContent {
    /// The holder, in words.
    by: String,
    /// Distinguishes holders with the same words.
    token: String,
    /// Epoch milliseconds.
    until_ms: i64,
}

/// The right to compact an archive.
pub struct Lease {
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    by: String,
    token: String,
    /// The version that we wrote; `None` once the lease is lost or released.
    version: Mutex<Option<String>>,
}

/// Why the lease is not held.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another compaction is running.
    #[error(
        "{by} is already compacting {place}, with a lease until {until} that it may renew: wait \
         until it ends. If it was killed, wait until the lease expires, or remove {place}{LEASE}"
    )]
    Held {
        /// The holder, in its own words.
        by: String,
        /// The archive.
        place: String,
        /// Until when, RFC 3339.
        until: String,
    },
    /// Another compaction took the lease, since this one did not renew it in time.
    #[error("the lease on {place} was lost: another compaction took it over")]
    Lost {
        /// The archive.
        place: String,
    },
    /// The archive cannot be reached.
    #[error("{}: {}", .0, .0.source)]
    Objects(#[from] PortError),
}

impl Lease {
    /// Acquires the lease if nobody holds a valid one. `by` names the holder for people; `token`
    /// must be unique per process.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn take(
        objects: Arc<dyn Objects>,
        clock: Arc<dyn Clock>,
        by: &str,
        token: &str,
    ) -> Result<Self, LeaseError> {
        let held = objects.read(LEASE).await?;
        let version = match &held {
            None => None,
            Some((content, version)) => {
                // Unreadable content was not written by a lease, so nobody holds it.
                let note: Option<LeaseContent> = serde_json::from_slice(content).ok();
                if let Some(note) = note.filter(|note| note.until_ms > clock.now_ms()) {
                    return Err(held_by(note, objects.as_ref()));
                }
                Some(version.clone())
            }
        };
        let lease = Self {
            objects,
            clock,
            by: by.to_owned(),
            token: token.to_owned(),
            version: Mutex::new(version),
        };
        match lease.write().await {
            Err(LeaseError::Lost { place }) => {
                // Somebody else was faster.
                let by = "another process".to_owned();
                let until = "soon".to_owned();
                Err(LeaseError::Held { by, place, until })
            }
            other => other.map(|()| lease),
        }
    }

    /// Renews the lease, and thereby checks that it is still ours.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn confirm(&self) -> Result<(), LeaseError> {
        if self.version.lock().await.is_none() {
            return Err(self.lost());
        }
        self.write().await
    }

    /// Renews the lease periodically, until the future is dropped or the lease is lost.
    pub async fn keep(&self) -> LeaseError {
        loop {
            tokio::time::sleep(RENEWAL_INTERVAL).await;
            match self.confirm().await {
                // A temporary outage is reported by the operations that need the archive.
                Ok(()) | Err(LeaseError::Objects(_)) => {}
                Err(lost) => return lost,
            }
        }
    }

    /// Releases the lease.
    ///
    /// # Errors
    /// [`LeaseError`]; the lease then expires by itself.
    pub async fn release(&self) -> Result<(), LeaseError> {
        self.confirm().await?;
        *self.version.lock().await = None;
        self.objects.delete(&[LEASE.to_owned()]).await?;
        Ok(())
    }

    async fn write(&self) -> Result<(), LeaseError> {
        let mut version = self.version.lock().await;
        let note = LeaseContent {
            by: self.by.clone(),
            token: self.token.clone(),
            until_ms: self.clock.now_ms().saturating_add(VALID_MS),
        };
        let content = serde_json::to_vec(&note).unwrap_or_default();
        let condition = match version.as_deref() {
            Some(version) => Condition::Is(version),
            None => Condition::Absent,
        };
        match self.objects.replace(LEASE, content, condition).await? {
            Replaced::Done(new) => {
                *version = Some(new);
                Ok(())
            }
            Replaced::Changed => {
                // If a response was lost, our previous write may have succeeded.
                if let Some((content, found)) = self.objects.read(LEASE).await?
                    && serde_json::from_slice::<LeaseContent>(&content)
                        .is_ok_and(|note| note.token == self.token)
                {
                    *version = Some(found);
                    return Ok(());
                }
                *version = None;
                Err(self.lost())
            }
        }
    }

    fn lost(&self) -> LeaseError {
        LeaseError::Lost {
            place: self.objects.place(),
        }
    }
}

fn held_by(note: LeaseContent, objects: &dyn Objects) -> LeaseError {
    LeaseError::Held {
        by: note.by,
        place: objects.place(),
        until: time_text(note.until_ms),
    }
}
