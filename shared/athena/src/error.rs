//! What can go wrong with a query, in words that say what to do.

mod message;
#[cfg(test)]
mod tests;

use std::error::Error;

use aws_sdk_athena::config::http::HttpResponse;
use aws_sdk_athena::error::{ProvideErrorMetadata, SdkError};

use super::execution::{Execution, State};
use aws_client::client::SetupError;
use aws_client::error::CallError;
use message::{
    cleaned, is_denial, is_missing, is_no_workgroup, place_of, with_advice, without_place,
};

/// Codes that say that the credentials are not, or no longer, good.
const CREDENTIALS_CODES: [&str; 10] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Codes of a permission that is missing.
const DENIED_CODES: [&str; 4] = [
    "AccessDenied",
    "AccessDeniedException",
    "Forbidden",
    "UnauthorizedOperation",
];

/// Codes of too many calls at once.
const THROTTLED_CODES: [&str; 6] = [
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// A place in a statement, as the service counts: both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column in it, in characters.
    pub column: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AthenaError {
    /// Region or credentials are missing.
    #[error("{0}")]
    Setup(String),
    /// The credentials are there and no good.
    #[error("AWS does not take the credentials ({0}): log in again, or set others")]
    Credentials(String),
    /// A permission is missing.
    #[error(
        "not allowed{}: {message}; docs/athena.md lists what a role needs",
        .action.as_ref().map(|action| format!(" to {action}")).unwrap_or_default()
    )]
    Denied {
        /// The action, such as `athena:StartQueryExecution`, where the service names it.
        action: Option<String>,
        /// The service's words.
        message: String,
    },
    /// Too many calls or queries at once, after all tries.
    #[error("Athena is throttled ({0}): wait a minute and run it again")]
    Throttled(String),
    /// The workgroup is not there.
    #[error(
        "there is no workgroup {workgroup} in the region {region}: where tickstream is deployed in \
         another region, set AWS_REGION to that; give another workgroup by --workgroup; to make this \
         one here, run `ticksql init`"
    )]
    NoWorkgroup {
        /// Its name.
        workgroup: String,
        /// Where it was looked for.
        region: String,
    },
    /// The workgroup does not say where answers go.
    #[error(
        "the workgroup {workgroup} has no place for answers, or is not there, in the region {region}: \
         where tickstream is deployed in another region, set AWS_REGION to that; else run \
         `ticksql init`, set the query result location of the workgroup, or give another by --workgroup"
    )]
    NoResultLocation {
        /// Its name.
        workgroup: String,
        /// Where it was looked for.
        region: String,
    },
    /// The statement names a table or database that is not there.
    #[error("{message}: if `ticksql init` has not been run here, run it; or give --database")]
    Missing {
        /// The service's words, without the place.
        message: String,
        /// Where the statement names it.
        place: Option<Place>,
    },
    /// The statement is wrong.
    #[error("{message}")]
    Statement {
        /// The service's words, without the place.
        message: String,
        /// Where.
        place: Option<Place>,
    },
    /// The text is longer than the service takes.
    #[error("the statement has {0} bytes; Athena takes {max}", max = super::SQL_BYTES_MAX)]
    TooLong(usize),
    /// The query failed while it ran.
    #[error("the query failed: {message}")]
    Failed {
        /// The service's words, and what to do.
        message: String,
        /// Whether the same query may succeed later.
        retryable: bool,
    },
    /// The workgroup's limit for what a query may read.
    #[error("{message}: ask for fewer days, or have the workgroup's limit raised")]
    ScanLimit {
        /// The service's words.
        message: String,
        /// What was read, which is billed.
        scanned_bytes: u64,
    },
    /// Somebody stopped it.
    #[error("the query {id} was cancelled{}", .reason.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Cancelled {
        /// The query.
        id: String,
        /// The service's words.
        reason: Option<String>,
        /// What was read, which is billed.
        scanned_bytes: u64,
    },
    /// The object with the answer cannot be read.
    #[error("the answer {location} cannot be read: {message}")]
    Result {
        /// The object.
        location: String,
        /// Why, and what to do.
        message: String,
    },
    /// No connection, or no answer in time.
    #[error("AWS does not answer ({0}): look at the network, AWS_REGION and AWS_ENDPOINT_URL")]
    Unanswered(String),
    /// An answer of the service makes no sense.
    #[error("Athena's answer cannot be understood: {0}")]
    Unreadable(String),
    /// Any other trouble with a call.
    #[error("{0}")]
    Call(CallError),
}

impl AthenaError {
    /// Whether the same call may go through later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Throttled(_) | Self::Unanswered(_) => true,
            Self::Call(error) => error.is_transient(),
            Self::Failed { retryable, .. } => *retryable,
            Self::Setup(_)
            | Self::Credentials(_)
            | Self::Denied { .. }
            | Self::NoWorkgroup { .. }
            | Self::NoResultLocation { .. }
            | Self::Missing { .. }
            | Self::Statement { .. }
            | Self::TooLong(_)
            | Self::ScanLimit { .. }
            | Self::Cancelled { .. }
            | Self::Result { .. }
            | Self::Unreadable(_) => false,
        }
    }
}

impl From<SetupError> for AthenaError {
    fn from(error: SetupError) -> Self {
        Self::Setup(error.to_string())
    }
}

/// Any call's error.
pub(super) fn of_call<E>(error: &SdkError<E, HttpResponse>) -> AthenaError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    of_refusal(CallError::of(error))
}

/// The error of a call that names a workgroup.
pub(super) fn of_workgroup<E>(
    error: &SdkError<E, HttpResponse>,
    workgroup: &str,
    region: &str,
) -> AthenaError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let error = of_call(error);
    if invalid(&error).is_some_and(is_no_workgroup) {
        return AthenaError::NoWorkgroup {
            workgroup: workgroup.to_owned(),
            region: region.to_owned(),
        };
    }
    error
}

/// The error of a statement that did not start.
pub(super) fn of_start<E>(
    error: &SdkError<E, HttpResponse>,
    workgroup: &str,
    region: &str,
) -> AthenaError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let error = of_workgroup(error, workgroup, region);
    match invalid(&error) {
        Some(message) if message.to_ascii_lowercase().contains("output location") => {
            AthenaError::NoResultLocation {
                workgroup: workgroup.to_owned(),
                region: region.to_owned(),
            }
        }
        Some(message) => of_statement(message),
        None => error,
    }
}

/// What the service says of a request that it calls invalid.
fn invalid(error: &AthenaError) -> Option<&str> {
    if let AthenaError::Call(CallError::Refused { code, message, .. }) = error
        && code == "InvalidRequestException"
    {
        Some(message)
    } else {
        None
    }
}

/// The error of a query that has ended without an answer.
pub(super) fn of_end(execution: &Execution) -> AthenaError {
    let scanned_bytes = execution.scanned_bytes;
    let reason = execution.reason.as_deref();
    if execution.state == State::Cancelled {
        let is_limit = |text: &&str| text.contains("scanned limit");
        return match reason.filter(is_limit) {
            Some(text) => AthenaError::ScanLimit {
                message: text.trim_end_matches('.').to_owned(),
                scanned_bytes,
            },
            None => AthenaError::Cancelled {
                id: execution.id.clone(),
                reason: reason.map(str::to_owned),
                scanned_bytes,
            },
        };
    }
    let message = cleaned(reason.unwrap_or("the service gives no reason"));
    if is_denial(&message) {
        return denied(message);
    }
    if message.contains("ThrottlingException") || message.contains("Rate exceeded") {
        return AthenaError::Throttled(message);
    }
    let error = of_statement(&message);
    if let AthenaError::Statement {
        message,
        place: None,
    } = &error
    {
        // A message without a place is about the run.
        return AthenaError::Failed {
            message: with_advice(message),
            retryable: execution.retryable,
        };
    }
    error
}

/// The error of the object with the answer, from S3's.
pub(super) fn of_object(error: CallError, location: &str) -> AthenaError {
    let error = of_refusal(error);
    let message = if let AthenaError::Denied { message, .. } = &error {
        format!(
            "{message}; s3:GetObject on it is needed, and docs/athena.md lists all that a role needs"
        )
    } else if let AthenaError::Call(error) = &error {
        error.to_string()
    } else if let AthenaError::Unanswered(_) = &error {
        error.to_string()
    } else {
        return error;
    };
    AthenaError::Result {
        location: location.to_owned(),
        message,
    }
}

pub(super) fn of_refusal(error: CallError) -> AthenaError {
    if let CallError::Unanswered(message) = &error {
        // Behind the bracket is the same once more, for programmers.
        let told = message
            .split_once(" (")
            .map_or(message.as_str(), |(told, _)| told);
        return AthenaError::Unanswered(told.to_owned());
    }
    let CallError::Refused {
        code,
        message,
        status,
        ..
    } = &error
    else {
        return AthenaError::Call(error);
    };
    let code = code.as_str();
    let told = || format!("{code}: {message}");
    if CREDENTIALS_CODES.contains(&code) {
        AthenaError::Credentials(told())
    } else if DENIED_CODES.contains(&code) || is_denial(message) {
        denied(message.clone())
    } else if THROTTLED_CODES.contains(&code) || *status == 429 {
        AthenaError::Throttled(told())
    } else {
        AthenaError::Call(error)
    }
}

fn of_statement(message: &str) -> AthenaError {
    let place = place_of(message);
    let message = without_place(&cleaned(message));
    if is_missing(&message) {
        let message = message.lines().next().unwrap_or_default().to_owned();
        AthenaError::Missing { message, place }
    } else {
        AthenaError::Statement { message, place }
    }
}

fn denied(message: String) -> AthenaError {
    let action = message
        .split_once("authorized to perform: ")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .map(|action| action.trim_end_matches(['.', ',']).to_owned());
    AthenaError::Denied { action, message }
}
