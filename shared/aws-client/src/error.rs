//! What an SDK says becomes a [`PortError`]: a short cause for the log, and whether the same call
//! may go through later.

use std::error::Error;

use app::ports::PortError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;

/// Longest part of a service's message that is kept, in bytes.
const MESSAGE_BYTES_MAX: usize = 512;

/// Codes of refusals that pass: too much at once, or two writers at one item.
const PASSING_CODES: [&str; 17] = [
    "BandwidthLimitExceeded",
    "InternalServerError",
    "KMSThrottlingException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

/// Why a call to AWS failed, without its request and answer: those may be large, and hold what no
/// log should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The service refused.
    #[error("{code}: {message} (HTTP {status}, request {request_id})")]
    Refused {
        /// The service's code, such as `ThrottlingException`.
        code: String,
        /// What it says, cut to 512 bytes.
        message: String,
        /// The HTTP status.
        status: u16,
        /// The request's id, for AWS support.
        request_id: String,
    },
    /// No answer in time, or no connection: whether the call was done is not known.
    #[error("no answer: {0}")]
    Unanswered(String),
    /// The answer came and could not be read: whether the call was done is not known.
    #[error("an answer that cannot be read: {0}")]
    Unreadable(String),
    /// The request could not be made, and was not sent.
    #[error("a request that cannot be made: {0}")]
    Unsent(String),
}

impl CallError {
    /// Reads the SDK's error.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let told = || cut(&DisplayErrorContext(error).to_string());
        match error {
            SdkError::ServiceError(answer) => {
                let refusal = answer.err();
                Self::Refused {
                    code: refusal.code().unwrap_or("no code").to_owned(),
                    message: cut(refusal.message().unwrap_or("no message")),
                    status: answer.raw().status().as_u16(),
                    request_id: error.request_id().unwrap_or("unknown").to_owned(),
                }
            }
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => Self::Unanswered(told()),
            SdkError::ResponseError(_) => Self::Unreadable(told()),
            SdkError::ConstructionFailure(_) => Self::Unsent(told()),
            // The enum is open to new kinds, which should not be taken for passing ones.
            _ => Self::Unsent(told()),
        }
    }

    /// Whether the same call may go through later without anybody doing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Refused { code, status, .. } => {
                *status >= 500 || *status == 429 || PASSING_CODES.contains(&code.as_str())
            }
            Self::Unanswered(_) | Self::Unreadable(_) => true,
            Self::Unsent(_) => false,
        }
    }

    /// The error of a port's call.
    #[must_use]
    pub fn at(self, operation: &'static str) -> PortError {
        PortError {
            operation,
            retryable: self.is_passing(),
            source: Box::new(self),
        }
    }
}

/// The error of a port's call, from the SDK's.
pub fn port_error<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> PortError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    CallError::of(error).at(operation)
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(MESSAGE_BYTES_MAX))
        .unwrap_or(text)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::operation::put_object::PutObjectError;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn refusal(code: &str, status: u16) -> CallError {
        let metadata = ErrorMetadata::builder().code(code).message("why").build();
        let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        answer.headers_mut().insert("x-amzn-requestid", "R1");
        CallError::of(&SdkError::service_error(
            PutObjectError::generic(metadata),
            answer,
        ))
    }

    #[test]
    fn throttles_and_faults_of_the_service_pass_and_mistakes_do_not() {
        for (code, status, passing) in [
            ("ProvisionedThroughputExceededException", 400, true),
            ("ThrottlingException", 400, true),
            ("TransactionConflictException", 400, true),
            ("SlowDown", 503, true),
            ("Anything", 500, true),
            ("Anything", 429, true),
            ("ValidationException", 400, false),
            ("AccessDeniedException", 400, false),
            ("ResourceNotFoundException", 400, false),
            ("ConditionalCheckFailedException", 400, false),
        ] {
            assert_eq!(
                refusal(code, status).is_passing(),
                passing,
                "{code} {status}"
            );
        }
    }

    #[test]
    fn a_refusal_is_told_with_code_status_and_request() {
        let error = refusal("AccessDeniedException", 400).at("store ticks");
        assert_eq!(error.to_string(), "store ticks failed");
        assert_eq!(
            error.source.to_string(),
            "AccessDeniedException: why (HTTP 400, request R1)"
        );
    }

    #[test]
    fn what_got_no_answer_may_go_through_later_and_what_was_not_sent_may_not() {
        type Failed = SdkError<PutObjectError, HttpResponse>;
        let lost = Failed::dispatch_failure(ConnectorError::io("connection reset".into()));
        let late = Failed::timeout_error("400 ms are over");
        for error in [lost, late] {
            let cause = CallError::of(&error);
            assert!(matches!(cause, CallError::Unanswered(_)) && cause.is_passing());
        }
        let unsent = CallError::of(&Failed::construction_failure("no table name"));
        assert!(!unsent.is_passing() && unsent.to_string().contains("no table name"));
    }
}
