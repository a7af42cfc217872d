//! What to compare, and when a tick is due where.

use std::collections::BTreeSet;
use std::time::Duration;

use app::read_back::ReceiptRange;
use app::utc_days::days;
use chrono::NaiveDate;
use domain::FUTURE_TOLERANCE_MS;
use serde::{Deserialize, Serialize};

use super::VerifyError;

/// How long a tick may take from its receipt to each place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueAfter {
    /// Until it is stored: later ticks are left out of the range, since their delivery may be under way.
    pub stored_ms: i64,
    /// Until it is in the stream.
    pub streamed_ms: i64,
    /// Until it is in the archive.
    pub archived_ms: i64,
}

impl DueAfter {
    /// On this machine: a delivery ends within 5 s, the outbox is drained every 10 s, and the archive is written every
    /// 10 s by default.
    pub const HERE: Self = Self::here(Duration::from_secs(10));

    /// On this machine, where the archive is written so often. Writing a file may take some seconds more.
    #[must_use]
    pub const fn here(archive_every: Duration) -> Self {
        let every_ms = archive_every.as_secs().saturating_mul(1_000).cast_signed();
        Self {
            stored_ms: 6_000,
            streamed_ms: 30_000,
            archived_ms: every_ms.saturating_add(50_000),
        }
    }

    /// On AWS: API Gateway ends a request after 30 s; a tick that the stream refused is offered again by the redrive
    /// 190 s after each attempt; and Firehose writes files every 300 s, and takes up to a minute to convert them.
    /// <https://docs.aws.amazon.com/firehose/latest/dev/create-destination.html>
    pub const AWS: Self = Self {
        stored_ms: 30_000,
        streamed_ms: 300_000,
        archived_ms: 420_000,
    };
}

impl DueAfter {
    /// With another time for the archive, after which the ticks are also due where they go first.
    #[must_use]
    pub fn with_archived_ms(self, archived_ms: i64) -> Self {
        Self {
            stored_ms: self.stored_ms.min(archived_ms),
            streamed_ms: self.streamed_ms.min(archived_ms),
            archived_ms,
        }
    }
}

/// What to compare, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// Ticks received from this time on, epoch milliseconds.
    pub from_ms: i64,
    /// And before this time. What was received within [`DueAfter::stored_ms`] is left out.
    pub to_ms: i64,
    /// One in how many minutes of each token, by event time, is compared: 1 for all.
    #[serde(default = "all")]
    pub one_in: u32,
    /// How many copies beyond the first are allowed in each place.
    #[serde(default)]
    pub repeats_max: u64,
    /// When ticks are due, if not as the places' writers are set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_after: Option<DueAfter>,
    /// Whether to repair what is missing.
    #[serde(default)]
    pub repair: bool,
}

fn all() -> u32 {
    1
}

impl VerifyRequest {
    /// When ticks are due: as requested, or as the places' writers are set.
    #[must_use]
    pub fn due_after(&self, as_set: DueAfter) -> DueAfter {
        self.due_after.unwrap_or(as_set)
    }

    /// The range that is compared if it begins now, with when ticks are due.
    ///
    /// # Errors
    /// [`VerifyError::Future`] and [`VerifyError::Empty`].
    pub fn range(&self, now_ms: i64, due_after: DueAfter) -> Result<ReceiptRange, VerifyError> {
        let wanted = ReceiptRange {
            from_ms: self.from_ms,
            to_ms: self.to_ms,
        };
        settled_range(wanted, now_ms, due_after)
    }
}

/// The part of a range that is compared: without what may not be stored yet.
pub(super) fn settled_range(
    wanted: ReceiptRange,
    now_ms: i64,
    due_after: DueAfter,
) -> Result<ReceiptRange, VerifyError> {
    let ReceiptRange { from_ms, to_ms } = wanted;
    if to_ms > now_ms {
        return Err(VerifyError::Future {
            ahead_s: (to_ms - now_ms).div_euclid(1_000) + 1,
        });
    }
    let stored_ms = due_after.stored_ms;
    let to_ms = to_ms.min(now_ms.saturating_sub(stored_ms));
    if from_ms >= to_ms {
        return Err(VerifyError::Empty {
            from_ms,
            to_ms,
            settle_s: stored_ms / 1_000,
        });
    }
    Ok(ReceiptRange { from_ms, to_ms })
}

/// The UTC days of event times of ticks that were received in a range: those of the range, and the next one at its end,
/// since event times may be ahead of our clock.
#[must_use]
pub fn days_of(range: ReceiptRange) -> BTreeSet<NaiveDate> {
    days(
        range.from_ms,
        range.to_ms.saturating_add(FUTURE_TOLERANCE_MS),
    )
}
