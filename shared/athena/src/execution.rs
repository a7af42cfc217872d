//! A query's execution, as the service reports it.

use std::time::Duration;

use aws_sdk_athena::types::{QueryExecution, QueryExecutionState, StatementType};

/// The state of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting for capacity.
    Queued,
    /// Running.
    Running,
    /// Done, with a result.
    Succeeded,
    /// Failed, without a result.
    Failed,
    /// Cancelled by somebody, or by a limit of the workgroup.
    Cancelled,
}

impl State {
    /// Whether this is a final state.
    #[must_use]
    pub fn has_ended(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
        }
    }

    /// The service's name for it, in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A query's execution, as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The query's id.
    pub id: String,
    /// The statement as it was sent.
    pub sql: String,
    /// The state.
    pub state: State,
    /// Why it failed or was cancelled, according to the service.
    pub reason: Option<String>,
    /// Whether a retry may succeed, according to the service.
    pub retryable: bool,
    /// When it was sent, epoch milliseconds.
    pub submitted_at_ms: Option<i64>,
    /// How long it was queued.
    pub queued: Duration,
    /// How long the engine ran.
    pub ran: Duration,
    /// Bytes read so far.
    pub scanned_bytes: u64,
    /// Whether an earlier result of the same query was reused.
    pub reused: bool,
    /// The object with the result: `s3://BUCKET/KEY`.
    pub result: Option<String>,
    /// Whether the statement selects rows (SELECT, WITH), which the service writes as CSV.
    pub is_query: bool,
}

impl Execution {
    pub(super) fn of(execution: &QueryExecution) -> Self {
        let (status, figures) = (execution.status(), execution.statistics());
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let failure = status.and_then(|status| status.athena_error());
        let reason = status
            .and_then(|status| status.state_change_reason())
            .or_else(|| failure.and_then(|failure| failure.error_message()));
        let count = |value: Option<i64>| u64::try_from(value.unwrap_or(0)).unwrap_or(0);
        let reuse = figures.and_then(|figures| figures.result_reuse_information());
        let result = execution.result_configuration();
        Self {
            id: text(execution.query_execution_id()),
            sql: text(execution.query()),
            state: state_of(status.and_then(|status| status.state())),
            reason: reason
                .filter(|reason| !reason.is_empty())
                .map(str::to_owned),
            retryable: failure.is_some_and(|failure| failure.retryable()),
            submitted_at_ms: status
                .and_then(|status| status.submission_date_time())
                .and_then(|time| time.to_millis().ok()),
            queued: Duration::from_millis(count(
                figures.and_then(|figures| figures.query_queue_time_in_millis()),
            )),
            ran: Duration::from_millis(count(
                figures.and_then(|figures| figures.engine_execution_time_in_millis()),
            )),
            scanned_bytes: count(figures.and_then(|figures| figures.data_scanned_in_bytes())),
            reused: reuse.is_some_and(|reuse| reuse.reused_previous_result()),
            result: result
                .and_then(|result| result.output_location())
                .map(str::to_owned),
            is_query: execution.statement_type() == Some(&StatementType::Dml),
        }
    }
}

/// Unknown states count as not final.
fn state_of(state: Option<&QueryExecutionState>) -> State {
    match state {
        Some(QueryExecutionState::Succeeded) => State::Succeeded,
        Some(QueryExecutionState::Failed) => State::Failed,
        Some(QueryExecutionState::Cancelled) => State::Cancelled,
        Some(QueryExecutionState::Queued) | None => State::Queued,
        Some(_) => State::Running,
    }
}
