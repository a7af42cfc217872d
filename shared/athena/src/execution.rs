//! A query as the service tells of it.

use std::time::Duration;

use aws_sdk_athena::types::{QueryExecution, QueryExecutionState, StatementType};

/// Where a query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for its turn.
    Queued,
    /// Runs.
    Running,
    /// Has its answer.
    Succeeded,
    /// Has none.
    Failed,
    /// Was stopped, by somebody or by a limit of the workgroup.
    Cancelled,
}

impl State {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn has_ended(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
        }
    }

    /// In a word, as the service has it.
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

/// A query as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The service's name for it.
    pub id: String,
    /// The statement as it was sent.
    pub sql: String,
    /// Where it is.
    pub state: State,
    /// Why it failed or was stopped, in the service's words.
    pub reason: Option<String>,
    /// Whether the service thinks that the same query may succeed later.
    pub retryable: bool,
    /// When it was sent, epoch milliseconds.
    pub submitted_at_ms: Option<i64>,
    /// How long it waited for its turn.
    pub queued: Duration,
    /// How long the engine ran.
    pub ran: Duration,
    /// Bytes read so far.
    pub scanned_bytes: u64,
    /// Whether its answer is one of an equal query before.
    pub reused: bool,
    /// The object with the answer: `s3://BUCKET/KEY`.
    pub result: Option<String>,
    /// Whether the statement reads rows (SELECT, WITH), and writes them as CSV.
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

/// A state that this program does not know yet is one that has not ended.
fn state_of(state: Option<&QueryExecutionState>) -> State {
    match state {
        Some(QueryExecutionState::Succeeded) => State::Succeeded,
        Some(QueryExecutionState::Failed) => State::Failed,
        Some(QueryExecutionState::Cancelled) => State::Cancelled,
        Some(QueryExecutionState::Queued) | None => State::Queued,
        Some(_) => State::Running,
    }
}
