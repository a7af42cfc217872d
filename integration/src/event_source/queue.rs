//! How AWS interprets what a function returns for a batch of a standard queue: "Handling errors for
//! an SQS event source in Lambda" of the AWS Lambda Developer Guide.

use super::answer::{Answer, identifiers};

/// The redrive queue and its mapping as `infra/service.yaml` has them; a test of the templates compares both. How long a message
/// is hidden after each attempt, in seconds.
pub const REDRIVE_VISIBILITY_SECONDS: u64 = 190;

/// After so many attempts, a message goes to the DLQ.
pub const REDRIVE_RECEIVES_MAX: u32 = 100;

/// The most messages of a batch.
pub const REDRIVE_MESSAGES_MAX: usize = 100;

/// What becomes of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueOutcome {
    /// The ids of messages that are deleted. The others are visible again after the timeout.
    pub deleted: Vec<String>,
    /// Whether the invocation counts in the function's metric `Errors`: "Types of metrics for Lambda
    /// functions", section "Invocation metrics".
    pub is_error: bool,
    /// Whether Lambda invokes the function less often for a while: section "Backoff strategy for
    /// failed invocations".
    pub backs_off: bool,
}

/// What becomes of the messages with these ids.
///
/// - An error fails the whole batch. Lambda then backs off, but not with `ReportBatchItemFailures`:
///   section "Implementing partial batch responses".
/// - A response deletes what it does not name. One with an identifier that is empty, null, under
///   another name or not in the batch deletes nothing: section "Success and failure conditions".
#[must_use]
pub fn queue_outcome(partial_failures: bool, ids: &[&str], answer: &Answer) -> QueueOutcome {
    let returned = match answer {
        Answer::Returned(returned) => returned,
        Answer::Raised(_) | Answer::NotInvoked(_) => {
            return QueueOutcome {
                deleted: Vec::new(),
                is_error: matches!(answer, Answer::Raised(_)),
                backs_off: matches!(answer, Answer::NotInvoked(_)) || !partial_failures,
            };
        }
    };
    let failed = identifiers(partial_failures, returned);
    let failed = failed.filter(|failed| failed.iter().all(|id| ids.contains(id)));
    let failed = failed.unwrap_or_else(|| ids.to_vec());
    let deleted = ids.iter().filter(|id| !failed.contains(id));
    QueueOutcome {
        deleted: deleted.map(|id| (*id).to_owned()).collect(),
        is_error: false,
        backs_off: false,
    }
}
