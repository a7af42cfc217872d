//! The body of an operator's request: JSON of a few KiB.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use runtime::problem::Problem;
use serde::de::DeserializeOwned;

use super::params::bad;

/// The largest body: short texts, and at most a hundred names.
const OPERATOR_BYTES_MAX: usize = 16 * 1_024;

/// The longest name of an operator, in characters.
const WHO_CHARS_MAX: usize = 100;

/// How long an operator may take to send it.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Reads a body. The operator must have been checked before, so that nobody else's bytes are read; `wanted` says
/// what a body has, for people.
pub(super) async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    wanted: &str,
) -> Result<T, Problem> {
    // A form on another site could send a body, but not with this media type.
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("application/json")) {
        let detail = "send JSON, with `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let unreadable = |error: &dyn std::fmt::Display| {
        bad(format!("the body cannot be read: {error}; send {wanted}"))
    };
    let body = bytes(body).await?;
    let text = domain::utf8_text(&body).map_err(|error| unreadable(&error))?;
    serde_json::from_str(text).map_err(|error| unreadable(&error))
}

/// The name of the operator in a body, which is recorded.
pub(super) fn who(text: &str) -> Result<String, Problem> {
    let who = text.trim();
    if who.is_empty() || who.chars().count() > WHO_CHARS_MAX {
        return Err(bad(format!(
            "`who` is recorded: send a name of 1 to {WHO_CHARS_MAX} characters"
        )));
    }
    Ok(who.to_owned())
}

/// Reads the body within its limits.
async fn bytes(body: Body) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("the body has at most {OPERATOR_BYTES_MAX} bytes: shorten it");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    // What is announced is enough to refuse it.
    if usize::try_from(body.size_hint().lower()).map_or(true, |bytes| bytes > OPERATOR_BYTES_MAX) {
        return Err(too_large());
    }
    let reading = Limited::new(body, OPERATOR_BYTES_MAX).collect();
    match tokio::time::timeout(READ_WITHIN, reading).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(bad("the body ended before it was complete".to_owned())),
        Err(_) => {
            let detail = format!("the body took longer than {} s", READ_WITHIN.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
        }
    }
}
