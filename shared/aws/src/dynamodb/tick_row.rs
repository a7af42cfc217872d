//! A tick on its way into the table, and its outcome.

use std::sync::Arc;

use app::ports::PortError;
use domain::Tick;

use super::arrival_time_claims::{CLAIM, ClaimError};
use super::attributes::ItemError;
use super::batch_write::Failure;
use super::known_ticks::DeliveredIdentity;
use crate::error::CallError;

/// The operation's name in errors.
const STORE: &str = "store ticks";

/// A tick to store.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) identity: DeliveredIdentity,
    /// The tick with the time under which it is stored.
    pub(crate) tick: Tick,
    pub(crate) in_cohort: bool,
    pub(super) claim: Claim,
}

/// What is known of a row's claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nothing.
    Unknown,
    /// There was none when it was looked up.
    Absent,
    /// It has the row's time, or the row needs none.
    Done,
    /// This process has just made it, so the row's item is not stored.
    New,
}

impl Row {
    pub(crate) fn new(identity: DeliveredIdentity, tick: Tick, in_cohort: bool) -> Self {
        Self {
            claim: match identity {
                DeliveredIdentity::Timed(_) => Claim::Done,
                DeliveredIdentity::ArrivalStamped(..) => Claim::Unknown,
            },
            identity,
            tick,
            in_cohort,
        }
    }

    /// The row under the time of its claim.
    pub(super) fn claimed(mut self, at_ms: i64) -> Self {
        let is_new = self.claim == Claim::Absent && at_ms == self.tick.timestamp_ms;
        self.retime(at_ms);
        if is_new {
            self.claim = Claim::New;
        }
        self
    }

    pub(super) fn retime(&mut self, at_ms: i64) {
        (self.tick.timestamp_ms, self.tick.ingested_at_ms) = (at_ms, at_ms);
        self.claim = Claim::Done;
    }
}

/// The outcome of a row.
#[derive(Debug, Clone)]
pub(crate) enum RowOutcome {
    /// It was unknown, and is stored at this event time, in epoch milliseconds.
    Stored(i64),
    /// It was stored before. If it belongs to the stream, the tick as it is stored.
    Known(Option<Tick>),
    /// It is not known to be stored.
    Refused(Refusal),
}

/// Why a row was refused.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    operation: &'static str,
    retryable: bool,
    pub(crate) reason: Arc<str>,
}

impl Refusal {
    pub(super) fn of_call(error: &CallError) -> Self {
        Self {
            operation: STORE,
            retryable: error.is_transient(),
            reason: error.to_string().into(),
        }
    }

    pub(super) fn of_claim(error: &ClaimError) -> Self {
        Self {
            operation: CLAIM,
            retryable: error.is_transient(),
            reason: error.to_string().into(),
        }
    }

    pub(crate) fn of_item(error: &ItemError) -> Self {
        Self {
            operation: STORE,
            retryable: false,
            reason: error.to_string().into(),
        }
    }

    pub(super) fn of_write(failure: &Failure) -> Self {
        let PortError {
            operation,
            retryable,
            source,
        } = failure.at(STORE);
        Self {
            operation,
            retryable,
            reason: source.to_string().into(),
        }
    }

    pub(crate) fn into_error(self) -> PortError {
        PortError {
            operation: self.operation,
            retryable: self.retryable,
            source: self.reason.as_ref().into(),
        }
    }
}
