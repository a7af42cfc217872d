//! Converts SDK errors to [`PortError`]: a short cause for the log, and whether a retry of the call
//! may succeed.

use std::error::Error;

use app::ports::PortError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;

/// The most bytes of a service's message that are kept.
const MESSAGE_BYTES_MAX: usize = 512;

/// Error codes of transient failures: throttling, or two writers of one item.
const TRANSIENT_CODES: [&str; 17] = [
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

/// Why a call to AWS failed. Request and response are omitted, since they may be large and contain
/// what must not be logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The service refused.
    #[error("{code}: {message} (HTTP {status}, request {request_id})")]
    Refused {
        /// The service's code, such as `ThrottlingException`.
        code: String,
        /// The service's message, truncated to 512 bytes.
        message: String,
        /// The HTTP status.
        status: u16,
        /// The request's id, for AWS support.
        request_id: String,
    },
    /// No response in time, or no connection: the call may have taken effect.
    #[error("no response: {0}")]
    Unanswered(String),
    /// The response could not be read: the call may have taken effect.
    #[error("the response cannot be read: {0}")]
    Unreadable(String),
    /// The request could not be created, so it was not sent.
    #[error("the request cannot be created: {0}")]
    Unsent(String),
}

impl CallError {
    /// Reads the SDK's error.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let cause = || cut(&causes(error));
        match error {
            SdkError::ServiceError(answer) => {
                let refusal = answer.err();
                // The service did what it was asked, and the SDK does not understand what it says.
                if answer.raw().status().is_success() {
                    return Self::Unreadable(cut(&causes(refusal)));
                }
                Self::Refused {
                    code: refusal.code().unwrap_or("no code").to_owned(),
                    message: cut(refusal.message().unwrap_or("no message")),
                    status: answer.raw().status().as_u16(),
                    request_id: error.request_id().unwrap_or("unknown").to_owned(),
                }
            }
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => Self::Unanswered(cause()),
            SdkError::ResponseError(_) => Self::Unreadable(cause()),
            SdkError::ConstructionFailure(_) => Self::Unsent(cause()),
            // The enum is non-exhaustive; new kinds should not count as transient.
            _ => Self::Unsent(cause()),
        }
    }

    /// Whether a retry of the same call may succeed without any intervention.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { code, status, .. } => {
                *status >= 500 || *status == 429 || TRANSIENT_CODES.contains(&code.as_str())
            }
            Self::Unanswered(_) | Self::Unreadable(_) => true,
            Self::Unsent(_) => false,
        }
    }

    /// What the caller should check; `None` if the message of the error says enough.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        let code = match self {
            Self::Refused { code, .. } => code.rsplit('.').next().unwrap_or(code),
            Self::Unanswered(_) => {
                return Some("check the network, AWS_REGION and AWS_ENDPOINT_URL");
            }
            Self::Unreadable(_) | Self::Unsent(_) => return None,
        };
        match code {
            "NoSuchBucket"
            | "NonExistentQueue"
            | "ParameterNotFound"
            | "QueueDoesNotExist"
            | "ResourceNotFoundException" => Some(
                "check the name of the project or bucket, the account and the region (AWS_REGION): it may exist elsewhere",
            ),
            "AuthorizationHeaderMalformed" | "PermanentRedirect" => {
                Some("it is in another region: set AWS_REGION to that")
            }
            "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException" => Some(
                "the credentials are wrong or have expired: log in again (`aws sso login`), and look at them with `aws \
                 sts get-caller-identity`",
            ),
            "AccessDenied" | "AccessDeniedException" => Some(
                "these credentials lack a right: `aws sts get-caller-identity` shows whose they are, and \
                 infra/operators.yaml has the rights of operators",
            ),
            _ => None,
        }
    }

    /// The error of a port's operation.
    #[must_use]
    pub fn at(self, operation: &'static str) -> PortError {
        PortError {
            operation,
            retryable: self.is_transient(),
            source: Box::new(self),
        }
    }
}

/// The error of a port's operation, from the SDK's error.
pub fn port_error<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> PortError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    CallError::of(error).at(operation)
}

/// The error and its causes, without the SDK's own structures. What repeats its cause is left out.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let of_cause = next.to_string();
        if !text.ends_with(&of_cause) {
            text = format!("{text}: {of_cause}");
        }
        cause = next.source();
    }
    text
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
    fn throttling_and_service_faults_are_transient_and_client_errors_are_not() {
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
                refusal(code, status).is_transient(),
                passing,
                "{code} {status}"
            );
        }
    }

    #[test]
    fn a_refusal_is_reported_with_code_status_and_request() {
        let error = refusal("AccessDeniedException", 400).at("store ticks");
        assert_eq!(error.to_string(), "store ticks failed");
        assert_eq!(
            error.source.to_string(),
            "AccessDeniedException: why (HTTP 400, request R1)"
        );
    }

    #[test]
    fn what_a_person_can_mend_has_advice() {
        for (code, word) in [
            ("ResourceNotFoundException", "AWS_REGION"),
            ("AWS.SimpleQueueService.NonExistentQueue", "AWS_REGION"),
            ("PermanentRedirect", "another region"),
            ("ExpiredTokenException", "aws sso login"),
            ("AccessDenied", "infra/operators.yaml"),
        ] {
            let advice = refusal(code, 400).advice().unwrap();
            assert!(advice.contains(word), "{code}: {advice}");
        }
        assert_eq!(refusal("ThrottlingException", 400).advice(), None);
        let lost = CallError::Unanswered("late".to_owned());
        assert!(lost.advice().unwrap().contains("network"));
    }

    #[test]
    fn a_response_that_cannot_be_read_says_why() {
        let cause = std::io::Error::other("expected `true` or `false`");
        let error = PutObjectError::unhandled(cause);
        let answer = HttpResponse::new(200.try_into().unwrap(), SdkBody::empty());
        let error = CallError::of(&SdkError::service_error(error, answer));
        assert!(matches!(error, CallError::Unreadable(_)), "{error}");
        assert!(error.to_string().contains("expected `true`"), "{error}");
    }

    #[test]
    fn a_missing_response_is_told_in_words() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "nobody listens");
        let lost: SdkError<PutObjectError, HttpResponse> =
            SdkError::dispatch_failure(ConnectorError::io(refused.into()));
        let text = CallError::of(&lost).to_string();
        assert!(text.contains("nobody listens"), "{text}");
        assert!(!text.contains("DispatchFailure"), "{text}");
    }

    #[test]
    fn a_missing_response_is_transient_and_an_unsent_request_is_not() {
        type Failed = SdkError<PutObjectError, HttpResponse>;
        let lost = Failed::dispatch_failure(ConnectorError::io("connection reset".into()));
        let late = Failed::timeout_error("timed out after 400 ms");
        for error in [lost, late] {
            let cause = CallError::of(&error);
            assert!(matches!(cause, CallError::Unanswered(_)) && cause.is_transient());
        }
        let unsent = CallError::of(&Failed::construction_failure("no table name"));
        assert!(!unsent.is_transient() && unsent.to_string().contains("no table name"));
    }
}
