//! How AWS interprets what a function returns for a batch of a stream.

use app::ports::SequenceNumber;
use serde_json::Value;

use super::mapping::MappingSettings;
use super::shard::Outcome;

/// The result of an invocation.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The function returned this.
    Returned(Value),
    /// The function failed: an error was raised, it timed out, or its process ended.
    Raised(String),
    /// It could not be invoked at all (throttled, being deployed).
    NotInvoked(String),
}

/// What the answer means for a batch of a stream.
///
/// - An error halves the batch, whatever the response type: "Configuring partial batch response with
///   Kinesis Data Streams and Lambda", section "Bisecting a batch", of the AWS Lambda Developer Guide.
/// - An empty or null response or list is success, and an identifier that is empty, null or under
///   another name fails the whole batch: section "Success and failure conditions". Lambda then retries
///   by the retry strategy; that it halves the batch is said of invocations that fail only.
/// - Of several records, the lowest sequence number counts: section "Report syntax".
/// - Without `ReportBatchItemFailures`, every response is success: the note under the page's title.
#[must_use]
pub fn outcome(settings: &MappingSettings, answer: &Answer) -> Outcome {
    let returned = match answer {
        Answer::NotInvoked(_) => return Outcome::NotInvoked,
        Answer::Raised(_) => return Outcome::Failed,
        Answer::Returned(returned) => returned,
    };
    let Some(identifiers) = identifiers(settings.partial_failures, returned) else {
        return Outcome::AllReported;
    };
    let numbers = identifiers.into_iter().map(str::parse::<SequenceNumber>);
    match numbers.collect::<Result<Vec<_>, _>>() {
        Ok(numbers) => numbers
            .into_iter()
            .min()
            .map_or(Outcome::Done, Outcome::DoneBefore),
        Err(_) => Outcome::AllReported,
    }
}

/// The items that a response names; `None` if it fails the whole batch.
pub(super) fn identifiers(partial_failures: bool, returned: &Value) -> Option<Vec<&str>> {
    match returned.get("batchItemFailures") {
        Some(_) if !partial_failures => Some(Vec::new()),
        Some(Value::Null) | None => Some(Vec::new()),
        Some(Value::Array(failures)) => failures
            .iter()
            .map(|failure| failure.get("itemIdentifier").and_then(Value::as_str))
            .map(|name| name.filter(|name| !name.is_empty()))
            .collect(),
        Some(_) => None,
    }
}
