//! Reading a delivery's body: its media type, its size, its pace, and the memory for all.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use runtime::problem::Problem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Largest body: 5 MiB. Lambda takes 6 MB with its envelope, so that one limit holds on both.
pub const BODY_BYTES_MAX: usize = 5 * 1_024 * 1_024;

/// Memory for all bodies that are being read or stored.
pub const IN_FLIGHT_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// A permit stands for one KiB.
const PERMIT_BYTES: usize = 1_024;

/// How long a sender may take to send a body.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Most bytes of a body that is too large that are read to their end, so that its sender sees the
/// answer and not a broken connection.
const DISCARDED_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// How long a delivery waits for room when the memory for bodies is taken.
const ROOM_WITHIN: Duration = Duration::from_secs(1);

/// The room for bodies.
pub(crate) struct BodyLimits {
    room: Arc<Semaphore>,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(IN_FLIGHT_BYTES_MAX / PERMIT_BYTES)),
        }
    }
}

/// A delivery is JSON, uncompressed. A sender that names no type is taken at its body.
pub(crate) fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |detail: &str| Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding.as_bytes() != b"identity"
    {
        return refuse("send the body uncompressed: `Content-Encoding` is not taken");
    }
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = kind.to_str().unwrap_or_default().to_ascii_lowercase();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence == "application/json" || essence.ends_with("+json") {
        Ok(())
    } else {
        refuse("send JSON, with `Content-Type: application/json`")
    }
}

impl BodyLimits {
    /// Waits for room for a body of the announced size, or of the largest where none is.
    pub(crate) async fn room_for(
        &self,
        headers: &HeaderMap,
    ) -> Result<OwnedSemaphorePermit, Problem> {
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok());
        let bytes = announced.map_or(Some(BODY_BYTES_MAX), |length| length.parse().ok());
        let bytes = bytes
            .filter(|bytes| *bytes <= BODY_BYTES_MAX)
            .ok_or_else(too_large)?;
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let waiting = Arc::clone(&self.room).acquire_many_owned(permits);
        let busy = || {
            let detail = "too many deliveries at once: deliver again in a second";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(1)
        };
        tokio::time::timeout(ROOM_WITHIN, waiting)
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())
    }

    /// Reads a body within its size and time.
    pub(crate) async fn read(&self, body: Body) -> Result<Bytes, Problem> {
        let reading = Limited::new(body, BODY_BYTES_MAX).collect();
        match tokio::time::timeout(READ_WITHIN, reading).await {
            Ok(Ok(read)) => Ok(read.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "the body ended before it was complete",
            )),
            Err(_) => {
                let detail = format!("the body took longer than {} s", READ_WITHIN.as_secs());
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
            }
        }
    }
}

/// Reads a body that is not wanted, within limits.
pub(crate) async fn discard(body: Body) {
    let mut body = Limited::new(body, DISCARDED_BYTES_MAX);
    let reading = async { while let Some(Ok(_)) = body.frame().await {} };
    // A sender that is slower has its connection closed instead.
    drop(tokio::time::timeout(READ_WITHIN, reading).await);
}

fn too_large() -> Problem {
    let detail =
        format!("the body is larger than {BODY_BYTES_MAX} bytes: send fewer entries in a delivery");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: Option<&str>, encoding: Option<&str>, taken: bool) {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        }
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
        }
        assert_eq!(
            check_media_type(&headers).is_ok(),
            taken,
            "{kind:?} {encoding:?}"
        );
    }

    #[test]
    fn json_is_taken_and_other_types_are_not() {
        check(Some("application/json"), None, true);
        check(Some("Application/JSON; charset=utf-8"), None, true);
        check(Some("application/cloudevents+json"), None, true);
        check(None, None, true);
        check(Some("text/plain"), None, false);
        check(Some("application/x-www-form-urlencoded"), None, false);
        check(Some("application/json"), Some("gzip"), false);
        check(Some("application/json"), Some("identity"), true);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_given_up() {
        let never =
            Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let problem = BodyLimits::default().read(never).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_without_being_announced() {
        let body = Body::from(vec![b' '; BODY_BYTES_MAX + 1]);
        let problem = BodyLimits::default().read(body).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn without_room_a_delivery_is_sent_away() {
        let limits = BodyLimits::default();
        let mut held = Vec::new();
        for _ in 0..IN_FLIGHT_BYTES_MAX / BODY_BYTES_MAX {
            held.push(limits.room_for(&HeaderMap::new()).await.unwrap());
        }
        let problem = limits.room_for(&HeaderMap::new()).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);
        held.pop();
        assert!(limits.room_for(&HeaderMap::new()).await.is_ok());
    }
}
