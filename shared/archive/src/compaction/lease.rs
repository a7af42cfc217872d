//! The right to compact an archive that processes of several machines can reach: an object that
//! one of them holds, and renews while it works.

use std::sync::Arc;
use std::time::Duration;

use app::objects::{Condition, Objects, Replaced};
use app::ports::{Clock, PortError};
use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// The lease's name in the table.
pub const LEASE: &str = "_compaction.lease";

/// How long a lease holds from its last renewal. Clocks of machines may differ by minutes.
const HOLDS_MS: i64 = 30 * 60 * 1_000;

/// How often it is renewed.
const RENEWED_EVERY: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Who holds it, in words.
    by: String,
    /// Told apart from others that say the same.
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
    /// The version that is ours; `None` once it is lost or given back.
    version: Mutex<Option<String>>,
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another compaction runs.
    #[error(
        "{by} compacts {place} already, and holds it until {until} unless it renews that; let it \
         end. Where it was killed, wait until then, or remove {place}{LEASE}"
    )]
    Held {
        /// Who, in its own words.
        by: String,
        /// The archive.
        place: String,
        /// Until when, RFC 3339.
        until: String,
    },
    /// Another compaction took it, as this one did not renew it in time.
    #[error("the lease on {place} is lost: another compaction took it over")]
    Lost {
        /// The archive.
        place: String,
    },
    /// The archive cannot be reached.
    #[error("{}: {}", .0, .0.source)]
    Objects(#[from] PortError),
}

impl Lease {
    /// Takes the lease where nobody holds one that is still good. `by` says who, for people;
    /// `token` is another one for each process.
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
                // What is no note was not written by a lease: nobody holds it.
                let note: Option<Note> = serde_json::from_slice(content).ok();
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
                // Somebody was faster.
                let by = "another process".to_owned();
                let until = "soon".to_owned();
                Err(LeaseError::Held { by, place, until })
            }
            other => other.map(|()| lease),
        }
    }

    /// Renews the lease, and so makes sure that it is still ours.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn confirm(&self) -> Result<(), LeaseError> {
        if self.version.lock().await.is_none() {
            return Err(self.lost());
        }
        self.write().await
    }

    /// Renews the lease again and again, until it is dropped or lost.
    pub async fn keep(&self) -> LeaseError {
        loop {
            tokio::time::sleep(RENEWED_EVERY).await;
            match self.confirm().await {
                // An archive that cannot be reached for a while is told by what needs it.
                Ok(()) | Err(LeaseError::Objects(_)) => {}
                Err(lost) => return lost,
            }
        }
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// [`LeaseError`]; it then ends by itself.
    pub async fn give_back(&self) -> Result<(), LeaseError> {
        self.confirm().await?;
        *self.version.lock().await = None;
        self.objects.delete(&[LEASE.to_owned()]).await?;
        Ok(())
    }

    async fn write(&self) -> Result<(), LeaseError> {
        let mut version = self.version.lock().await;
        let note = Note {
            by: self.by.clone(),
            token: self.token.clone(),
            until_ms: self.clock.now_ms().saturating_add(HOLDS_MS),
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
                // An answer that got lost may hide that the last writing was done.
                if let Some((content, found)) = self.objects.read(LEASE).await?
                    && serde_json::from_slice::<Note>(&content)
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

fn held_by(note: Note, objects: &dyn Objects) -> LeaseError {
    let until = DateTime::from_timestamp_millis(note.until_ms);
    let until = until.map(|until| until.to_rfc3339_opts(SecondsFormat::Secs, true));
    LeaseError::Held {
        by: note.by,
        place: objects.place(),
        until: until.unwrap_or_else(|| note.until_ms.to_string()),
    }
}
