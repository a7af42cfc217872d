//! How AWS interprets a function's response to a batch of a stream.

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

/// What the response means for the batch. An empty or null response or list is success; a failure
/// without a record fails the whole batch; of several records, the lowest counts. Without
/// `ReportBatchItemFailures`, any response is success.
#[must_use]
pub fn outcome(settings: &MappingSettings, answer: &Answer) -> Outcome {
    let returned = match answer {
        Answer::NotInvoked(_) => return Outcome::NotInvoked,
        Answer::Raised(_) => return Outcome::Failed,
        Answer::Returned(returned) => returned,
    };
    let failures = match returned.get("batchItemFailures") {
        Some(Value::Array(failures)) if settings.partial_failures => failures,
        Some(Value::Null) | None => return Outcome::Done,
        Some(_) if settings.partial_failures => return Outcome::Failed,
        Some(_) => return Outcome::Done,
    };
    let mut lowest: Option<SequenceNumber> = None;
    for failure in failures {
        let named = failure.get("itemIdentifier").and_then(Value::as_str);
        let Some(Ok(number)) = named.map(str::parse::<SequenceNumber>) else {
            return Outcome::Failed;
        };
        if lowest.as_ref().is_none_or(|lowest| number < *lowest) {
            lowest = Some(number);
        }
    }
    lowest.map_or(Outcome::Done, Outcome::DoneBefore)
}
