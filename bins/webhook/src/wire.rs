//! The webhook's response.

use std::collections::BTreeMap;

use app::ingest::Delivered;
use domain::{Reason, Severity};
use serde::Serialize;

/// The most errors in a response. The counts are always complete, and the quarantine has every
/// entry.
const ERRORS_MAX: usize = 100;

/// When a sender whose delivery was not stored should retry, in seconds.
pub(crate) const RETRY_AFTER_SECONDS: u64 = 1;

/// The outcome of a delivery.
#[derive(Debug, Serialize)]
pub struct Answer {
    received: u64,
    stored: u64,
    duplicate: u64,
    rejected: u64,
    ignored: u64,
    in_cohort: u64,
    streamed: u64,
    redriven: u64,
    pending: u64,
    rejected_by_reason: BTreeMap<Reason, u64>,
    ignored_by_reason: BTreeMap<&'static str, u64>,
    errors: Vec<EntryError>,
    errors_omitted: usize,
}

/// An entry that was refused, and the rule it breaks.
#[derive(Debug, Serialize)]
struct EntryError {
    index: usize,
    reason: Reason,
    severity: Severity,
    message: String,
}

impl Answer {
    /// The response to a delivery.
    #[must_use]
    pub fn new(delivered: Delivered) -> Self {
        let counts = delivered.counts;
        let errors_omitted = delivered.malformed.len().saturating_sub(ERRORS_MAX);
        let errors = delivered
            .malformed
            .into_iter()
            .take(ERRORS_MAX)
            .map(|entry| EntryError {
                index: entry.index,
                reason: entry.reason,
                severity: entry.reason.severity(),
                message: entry.message,
            });
        Self {
            received: counts.received,
            stored: counts.stored,
            duplicate: counts.duplicate,
            rejected: counts.rejected(),
            ignored: counts.ignored,
            in_cohort: counts.in_cohort,
            streamed: counts.streamed,
            redriven: counts.redriven,
            pending: delivered.pending,
            rejected_by_reason: counts.rejected_by_reason,
            ignored_by_reason: delivered.ignored_by_reason,
            errors: errors.collect(),
            errors_omitted,
        }
    }
}
