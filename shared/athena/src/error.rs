//! The errors of a query, with messages that say what to do.

mod message;
#[cfg(test)]
mod tests;

use std::error::Error;

use aws_sdk_athena::config::http::HttpResponse;
use aws_sdk_athena::error::{ProvideErrorMetadata, SdkError};

use super::execution::{Execution, State};
use super::limits::SQL_BYTES_MAX;
use aws_client::client::SetupError;
use aws_client::error::CallError;
use message::{
    cleaned, is_denial, is_missing, is_no_workgroup, position_of, with_advice, without_position,
};

/// Codes for invalid or expired credentials.
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

/// Codes for a missing permission.
const DENIED_CODES: [&str; 4] = [
    "AccessDenied",
    "AccessDeniedException",
    "Forbidden",
    "UnauthorizedOperation",
];

/// Codes for throttling.
const THROTTLED_CODES: [&str; 6] = [
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// A position in a statement. Line and column start at 1, as in the service's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// An error of a query on Athena.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AthenaError {
    /// Region or credentials are missing.
    #[error("{0}")]
    Setup(String),
    /// AWS rejected the credentials.
    #[error("AWS rejects the credentials ({0}): log in again, or set others")]
    Credentials(String),
    /// A permission is missing.
    #[error(
        "not allowed{}: {message}; docs/athena.md lists what a role needs",
        .action.as_ref().map(|action| format!(" to {action}")).unwrap_or_default()
    )]
    Denied {
        /// The action, such as `athena:StartQueryExecution`, if the service names it.
        action: Option<String>,
        /// The service's message.
        message: String,
    },
    /// Throttled, even after all retries.
    #[error("Athena throttles the requests ({0}): wait a minute and run it again")]
    Throttled(String),
    /// The workgroup does not exist.
    #[error(
        "there is no workgroup {workgroup} in the region {region}: if tickstream is deployed in \
         another region, set AWS_REGION to it; to use another workgroup, pass --workgroup; to create \
         this one here, run `ticksql init`"
    )]
    NoWorkgroup {
        /// Its name.
        workgroup: String,
        /// The region that was searched.
        region: String,
    },
    /// The workgroup has no location for query results.
    #[error(
        "the workgroup {workgroup} has no query result location, or does not exist, in the region {region}: \
         if tickstream is deployed in another region, set AWS_REGION to it; otherwise run \
         `ticksql init`, set the workgroup's query result location, or pass another --workgroup"
    )]
    NoResultLocation {
        /// Its name.
        workgroup: String,
        /// The region that was searched.
        region: String,
    },
    /// The statement names a table or database that does not exist.
    #[error("{message}: run `ticksql init` if it has not been run here, or pass --database")]
    Missing {
        /// The service's message, without the position.
        message: String,
        /// The position of the name in the statement.
        position: Option<Position>,
    },
    /// The statement is invalid.
    #[error("{message}")]
    Statement {
        /// The service's message, without the position.
        message: String,
        /// The position of the error in the statement.
        position: Option<Position>,
    },
    /// The statement is longer than the service allows.
    #[error("the statement has {0} bytes, but Athena allows {max}", max = SQL_BYTES_MAX)]
    TooLong(usize),
    /// The query failed while running.
    #[error("the query failed: {message}")]
    Failed {
        /// The service's message, and what to do.
        message: String,
        /// Whether the same query may succeed later.
        retryable: bool,
    },
    /// The query exceeded the workgroup's scan limit.
    #[error("{message}: select fewer days, or raise the workgroup's limit")]
    ScanLimit {
        /// The service's message.
        message: String,
        /// The bytes read, which are billed.
        scanned_bytes: u64,
    },
    /// Somebody cancelled the query.
    #[error("the query {id} was cancelled{}", .reason.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Cancelled {
        /// The query's id.
        id: String,
        /// The service's message.
        reason: Option<String>,
        /// The bytes read, which are billed.
        scanned_bytes: u64,
    },
    /// The object with the result cannot be read.
    #[error("the result {location} cannot be read: {message}")]
    Result {
        /// The object.
        location: String,
        /// Why, and what to do.
        message: String,
    },
    /// No connection, or no response in time.
    #[error("AWS does not respond ({0}): check the network, AWS_REGION and AWS_ENDPOINT_URL")]
    Unanswered(String),
    /// A response of the service is not as documented.
    #[error("the response of Athena cannot be read: {0}")]
    Unreadable(String),
    /// Any other error of a call.
    #[error("{0}")]
    Call(CallError),
}

impl AthenaError {
    /// Whether a retry of the same call may succeed without any intervention.
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

/// The error of any call.
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

/// The error of a statement that could not be started.
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

/// The message of an `InvalidRequestException`.
fn invalid(error: &AthenaError) -> Option<&str> {
    if let AthenaError::Call(CallError::Refused { code, message, .. }) = error
        && code == "InvalidRequestException"
    {
        Some(message)
    } else {
        None
    }
}

/// The error of a query that ended without a result.
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
    let message = cleaned(reason.unwrap_or("the service gave no reason"));
    if is_denial(&message) {
        return denied(message);
    }
    if message.contains("ThrottlingException") || message.contains("Rate exceeded") {
        return AthenaError::Throttled(message);
    }
    let error = of_statement(&message);
    if let AthenaError::Statement {
        message,
        position: None,
    } = &error
    {
        // A message without a position is about the run, not about the statement.
        return AthenaError::Failed {
            message: with_advice(message),
            retryable: execution.retryable,
        };
    }
    error
}

/// The error of reading the result's object, from S3's error.
pub(super) fn of_object(error: CallError, location: &str) -> AthenaError {
    let error = of_refusal(error);
    let message = if let AthenaError::Denied { message, .. } = &error {
        format!(
            "{message}; this needs s3:GetObject, and docs/athena.md lists all permissions of a role"
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
        // The text in parentheses repeats the cause as Rust debug output.
        let cause = message
            .split_once(" (")
            .map_or(message.as_str(), |(cause, _)| cause);
        return AthenaError::Unanswered(cause.to_owned());
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
    let text = || format!("{code}: {message}");
    if CREDENTIALS_CODES.contains(&code) {
        AthenaError::Credentials(text())
    } else if DENIED_CODES.contains(&code) || is_denial(message) {
        denied(message.clone())
    } else if THROTTLED_CODES.contains(&code) || *status == 429 {
        AthenaError::Throttled(text())
    } else {
        AthenaError::Call(error)
    }
}

fn of_statement(message: &str) -> AthenaError {
    let position = position_of(message);
    let message = without_position(&cleaned(message));
    if is_missing(&message) {
        let message = message.lines().next().unwrap_or_default().to_owned();
        AthenaError::Missing { message, position }
    } else {
        AthenaError::Statement { message, position }
    }
}

fn denied(message: String) -> AthenaError {
    let action = message
        .split_once("authorized to perform: ")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .map(|action| action.trim_end_matches(['.', ',']).to_owned());
    AthenaError::Denied { action, message }
}
