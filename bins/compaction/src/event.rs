//! What the function is invoked with: the hour of its schedule, or nothing for a compaction by hand.

use app::ports::PortError;
use app::unarchived_anomalies::UnarchivedAnomalies;
use archive::AnomalyArchive;
use chrono::{DateTime, Timelike as _};
use serde::{Deserialize, Serialize};

use crate::handler::{ClosedDays, ClosedDaysError, Outcome};

/// In this hour by UTC, closed days are compacted. Three hours after the end of the day, Firehose has written its last
/// file of it, but for late ticks.
const COMPACTION_HOUR: u32 = 3;

/// An event of the function.
#[derive(Debug, Default, Deserialize)]
pub struct Event {
    /// The time for which the schedule planned the invocation, RFC 3339. Without it, closed days are compacted, and
    /// nothing else is done.
    #[serde(default)]
    scheduled: Option<String>,
}

impl Event {
    /// Whether anomalies are archived: every hour.
    #[must_use]
    pub fn archives_anomalies(&self) -> bool {
        self.scheduled.is_some()
    }

    /// Whether closed days are compacted: once a day. A time that cannot be read must not prevent it.
    #[must_use]
    pub fn compacts(&self) -> bool {
        let time = self.scheduled.as_deref().map(DateTime::parse_from_rfc3339);
        match time {
            Some(Ok(time)) => time.to_utc().hour() == COMPACTION_HOUR,
            Some(Err(_)) | None => true,
        }
    }
}

/// What an invocation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// How many anomalies the archive lacked; `None` if these were not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomalies: Option<u64>,
    /// The compaction, if it was due.
    #[serde(flatten)]
    pub closed_days: Option<Outcome>,
}

/// The invocation failed.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// Not all closed days were compacted; the next night's run continues.
    #[error(transparent)]
    ClosedDays(#[from] ClosedDaysError),
    /// Anomalies were not archived; the next hour's run does it.
    #[error("anomalies were not archived")]
    Anomalies(#[from] PortError),
}

/// All that the function does.
pub struct Tasks {
    /// The compaction.
    pub closed_days: ClosedDays,
    /// The files of anomalies.
    pub anomalies: AnomalyArchive,
    /// Those that are not in the files.
    pub unarchived: Box<dyn UnarchivedAnomalies>,
}

impl Tasks {
    /// Handles an event.
    ///
    /// # Errors
    /// [`InvocationError`]. Neither task keeps the other one from being done.
    pub async fn handle(&self, event: Event) -> Result<Done, InvocationError> {
        let anomalies = match event.archives_anomalies() {
            true => {
                let unarchived = self.unarchived.as_ref();
                let added = self.anomalies.add_unarchived(unarchived).await;
                if let Err(error) = &added {
                    tracing::error!(error = %error, cause = %error.source, "anomalies were not archived");
                }
                Some(added)
            }
            false => None,
        };
        let closed_days = match event.compacts() {
            true => Some(self.closed_days.compact().await?),
            false => None,
        };
        Ok(Done {
            anomalies: anomalies.transpose()?,
            closed_days,
        })
    }
}
