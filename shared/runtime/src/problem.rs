//! Errors over HTTP in one shape: `application/problem+json` (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An error response. It is for the caller; causes go to the log.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip)]
    retry_after_seconds: Option<u64>,
    #[serde(skip)]
    accept_encoding: Option<&'static str>,
    #[serde(skip)]
    authenticate: Option<&'static str>,
}

impl Problem {
    /// A problem with a status of 400 or above; `detail` says what is wrong, then what to do.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            reason: None,
            retry_after_seconds: None,
            accept_encoding: None,
            authenticate: None,
        }
    }

    /// Adds a code for programs; it is the member `reason`.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.reason = Some(code.into());
        self
    }

    /// Adds a `Retry-After` header.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Adds an `Accept-Encoding` header with the accepted codings of a request body.
    #[must_use]
    pub fn accept_encoding(mut self, codings: &'static str) -> Self {
        self.accept_encoding = Some(codings);
        self
    }

    /// Adds a `WWW-Authenticate` header with the credentials to send.
    #[must_use]
    pub fn authenticate(mut self, challenge: &'static str) -> Self {
        self.authenticate = Some(challenge);
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (self.status(), [(header::CONTENT_TYPE, kind)], body).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(codings) = self.accept_encoding {
            response
                .headers_mut()
                .insert(header::ACCEPT_ENCODING, HeaderValue::from_static(codings));
        }
        if let Some(challenge) = self.authenticate {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_the_standard() {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "no price").with_code("invalid_price");
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({
                "type": "about:blank", "title": "Bad Request", "status": 400,
                "detail": "no price", "reason": "invalid_price",
            })
        );
    }

    #[test]
    fn a_temporary_problem_says_when_to_retry() {
        let response = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy")
            .retry_after(2)
            .into_response();
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
    }
}
