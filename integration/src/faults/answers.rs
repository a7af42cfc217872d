//! Determines the operation of a request, and creates errors in each of AWS's protocols.

use axum::http::{HeaderName, HeaderValue, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The protocol of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// AWS JSON; the service as in `x-amz-target`, such as `Kinesis_20131202`.
    Json {
        /// The target's part before the dot.
        service: String,
    },
    /// AWS Query: a form with an `Action`.
    Query,
    /// REST with XML errors, such as S3.
    Rest,
    /// RPC v2 with CBOR.
    Cbor,
}

/// Names service and operation.
pub(super) const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// The protocol and the operation's name.
pub(super) fn operation(parts: &request::Parts, body: &[u8]) -> (Protocol, String) {
    let target = parts
        .headers
        .get(TARGET)
        .and_then(|value| value.to_str().ok());
    if let Some((service, operation)) = target.and_then(|target| target.rsplit_once('.')) {
        let service = service.to_owned();
        return (Protocol::Json { service }, operation.to_owned());
    }
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if content_type.starts_with("application/x-www-form-urlencoded") {
        let form = String::from_utf8_lossy(body);
        let action = form
            .split('&')
            .find_map(|pair| pair.strip_prefix("Action="));
        if let Some(action) = action {
            return (Protocol::Query, action.to_owned());
        }
    }
    if let Some((_, operation)) = parts.uri.path().rsplit_once("/operation/") {
        return (Protocol::Cbor, operation.to_owned());
    }
    (Protocol::Rest, parts.method.to_string())
}

/// A throttling error.
pub(super) fn throttled(protocol: &Protocol) -> Response {
    let message = "Rate exceeded (a fault of the test)";
    match protocol {
        Protocol::Json { service } => {
            let code = match service.as_str() {
                name if name.starts_with("DynamoDB") || name.starts_with("Kinesis") => {
                    "ProvisionedThroughputExceededException"
                }
                "AmazonSQS" => "RequestThrottled",
                _ => "ThrottlingException",
            };
            error(protocol, StatusCode::BAD_REQUEST, code, message)
        }
        Protocol::Query => error(protocol, StatusCode::BAD_REQUEST, "Throttling", message),
        Protocol::Rest => error(
            protocol,
            StatusCode::SERVICE_UNAVAILABLE,
            "SlowDown",
            message,
        ),
        Protocol::Cbor => error(
            protocol,
            StatusCode::TOO_MANY_REQUESTS,
            "Throttling",
            message,
        ),
    }
}

/// A transaction that was throttled: DynamoDB cancels it as a whole.
pub(super) fn transaction_throttled() -> Response {
    let service = "DynamoDB_20120810".to_owned();
    let message = "Transaction cancelled, please refer cancellation reasons for specific reasons \
                   [ProvisionedThroughputExceeded] (a fault of the test)";
    let code = "TransactionCanceledException";
    error(
        &Protocol::Json { service },
        StatusCode::BAD_REQUEST,
        code,
        message,
    )
}

/// A 500 with the service's own code.
pub(super) fn internal_error(protocol: &Protocol) -> Response {
    let code = match protocol {
        Protocol::Json { service } if service.starts_with("DynamoDB") => "InternalServerError",
        Protocol::Rest => "InternalError",
        Protocol::Json { .. } | Protocol::Query | Protocol::Cbor => "InternalFailure",
    };
    let message = "Internal error (a fault of the test)";
    error(protocol, StatusCode::INTERNAL_SERVER_ERROR, code, message)
}

/// A 503: the service is unavailable.
pub(super) fn unavailable(protocol: &Protocol) -> Response {
    let message = "The service is unavailable (a fault of the test)";
    error(
        protocol,
        StatusCode::SERVICE_UNAVAILABLE,
        "ServiceUnavailable",
        message,
    )
}

fn error(protocol: &Protocol, status: StatusCode, code: &'static str, message: &str) -> Response {
    let error_type = (ERROR_TYPE, HeaderValue::from_static(code));
    match protocol {
        Protocol::Json { .. } => {
            let body = json!({ "__type": code, "message": message }).to_string();
            let kind = (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/x-amz-json-1.1"),
            );
            (status, [kind, error_type], body).into_response()
        }
        Protocol::Query => {
            let sender = if status.is_client_error() {
                "Sender"
            } else {
                "Receiver"
            };
            let body = format!(
                "<ErrorResponse><Error><Type>{sender}</Type><Code>{code}</Code>\
                 <Message>{message}</Message></Error><RequestId>fault</RequestId></ErrorResponse>"
            );
            (
                status,
                [(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"))],
                body,
            )
                .into_response()
        }
        Protocol::Rest => {
            let body = format!(
                "<Error><Code>{code}</Code><Message>{message}</Message>\
                 <RequestId>fault</RequestId></Error>"
            );
            (
                status,
                [(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/xml"),
                )],
                body,
            )
                .into_response()
        }
        // Clients of this protocol retry based on the status; the header names the error.
        Protocol::Cbor => (status, [error_type]).into_response(),
    }
}

/// The answer if the emulator cannot be reached.
pub(super) fn bad_gateway(error: &(dyn std::error::Error + 'static)) -> Response {
    let text = format!("the emulator behind the faulty endpoint cannot be reached: {error}");
    (StatusCode::BAD_GATEWAY, text).into_response()
}
