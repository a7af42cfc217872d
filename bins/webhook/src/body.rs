//! Reads and decodes a delivery's body, with limits for its media type, size and time, and for the memory
//! of all.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use runtime::problem::Problem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::content_coding::{ContentCoding, DecodeError};
use crate::wire::RETRY_AFTER_SECONDS;

/// The largest body: 5 MiB. Lambda accepts 6 MB including its envelope, so the same limit works there.
pub const BODY_BYTES_MAX: usize = 5 * 1_024 * 1_024;

/// Memory for all bodies that are being read.
pub const READING_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// Memory for all deliveries that are being parsed, stored and offered, by [`working_bytes`].
pub const WORKING_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// The memory of even the smallest delivery: its task, its jobs for the store, its outbox entry.
const DELIVERY_BYTES: usize = 8 * 1_024;

/// Bytes of ticks per byte of a body. An entry has about 110 bytes; from parsing to the commit, its tick
/// is held as a value, as a row, as a key, in the outbox entry, and encoded for store and stream, about
/// 900 bytes in all.
const TICK_BYTES_PER_BODY_BYTE: usize = 8;

/// Most bytes of a delivery's ticks: 10,000 entries at about 1 KiB, however long the entries are.
const TICKS_BYTES_MAX: usize = 10_000 * 1_024;

/// The bytes that a permit represents.
const PERMIT_BYTES: usize = 1_024;

/// How long a sender may take to send a body.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// The most bytes of a body that is too large that are still read, so its sender sees the response
/// instead of a broken connection.
const DISCARDED_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// How long a delivery waits if the memory for bodies is used up.
const RESERVE_WITHIN: Duration = Duration::from_secs(1);

/// The memory budgets for bodies and for deliveries. There are two, since with a single one, deliveries
/// that hold memory for their bodies could wait for each other.
pub(crate) struct BodyLimits {
    reading: Arc<Semaphore>,
    working: Arc<Semaphore>,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self::new(READING_BYTES_MAX, WORKING_BYTES_MAX)
    }
}

/// A body that was read completely.
pub(crate) enum Decoded {
    /// As its sender wrote it.
    Body(Bytes),
    /// It is not what its coding says; it stays as it was sent.
    Corrupt {
        /// The bytes.
        sent: Bytes,
        /// What is wrong, for the sender.
        message: String,
    },
}

impl Decoded {
    /// What there is of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Body(bytes) | Self::Corrupt { sent: bytes, .. } => bytes,
        }
    }
}

/// The memory of a delivery until it is stored and offered, by its body's size.
fn working_bytes(body_bytes: usize) -> usize {
    let ticks = (body_bytes * TICK_BYTES_PER_BODY_BYTE).min(TICKS_BYTES_MAX);
    DELIVERY_BYTES + body_bytes + ticks
}

/// A delivery is JSON. A missing media type is accepted.
pub(crate) fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = kind.to_str().unwrap_or_default().to_ascii_lowercase();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence == "application/json" || essence.ends_with("+json") {
        Ok(())
    } else {
        let detail = "send JSON, with `Content-Type: application/json`";
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
    }
}

impl BodyLimits {
    /// Limits for the bytes of bodies, and of deliveries.
    pub(crate) fn new(reading_bytes_max: usize, working_bytes_max: usize) -> Self {
        let permits = |bytes| Arc::new(Semaphore::new(bytes / PERMIT_BYTES));
        Self {
            reading: permits(reading_bytes_max),
            working: permits(working_bytes_max),
        }
    }

    /// Waits briefly for memory for a body of the announced size, or of the maximum if none is announced.
    pub(crate) async fn reserve_reading(
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
        reserve(&self.reading, bytes).await
    }

    /// Decodes a body within the limit for its size, and reserves the memory of the delivery: see
    /// [`BodyLimits::reserve_working`].
    pub(crate) async fn decode(
        &self,
        coding: ContentCoding,
        sent: Bytes,
    ) -> Result<(Decoded, OwnedSemaphorePermit), Problem> {
        // Measured first: a small body may be a large one when it is decoded.
        let measured = coding.decoded_bytes(&sent, BODY_BYTES_MAX);
        let bytes = *measured.as_ref().unwrap_or(&sent.len());
        let message = match measured {
            Err(DecodeError::TooLarge) => return Err(too_large()),
            Err(DecodeError::Corrupt(message)) => Some(message),
            Ok(_) => None,
        };
        let working = self.reserve_working(bytes).await?;
        let decoded = match message {
            Some(message) => Decoded::Corrupt { sent, message },
            None => match coding.decode(sent.clone(), bytes) {
                Ok(body) => Decoded::Body(body),
                Err(error) => Decoded::Corrupt {
                    sent,
                    message: error.to_string(),
                },
            },
        };
        Ok((decoded, working))
    }

    /// Waits briefly for memory for a delivery with a body of this size. Hold it until the delivery ends,
    /// even if its sender no longer waits: if the store is slower than its senders, deliveries are then
    /// refused and do not accumulate.
    pub(crate) async fn reserve_working(
        &self,
        body_bytes: usize,
    ) -> Result<OwnedSemaphorePermit, Problem> {
        reserve(&self.working, working_bytes(body_bytes)).await
    }

    /// Reads a body within the limits for size and time.
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

async fn reserve(of: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
    let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
    let waiting = Arc::clone(of).acquire_many_owned(permits);
    let busy = || {
        let detail = "too many concurrent deliveries: deliver again in a second";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(RETRY_AFTER_SECONDS)
    };
    tokio::time::timeout(RESERVE_WITHIN, waiting)
        .await
        .map_err(|_| busy())?
        .map_err(|_| busy())
}

/// Reads and discards a refused body, within limits.
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
    fn check(kind: Option<&str>, taken: bool) {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        }
        assert_eq!(check_media_type(&headers).is_ok(), taken, "{kind:?}");
    }

    #[test]
    fn only_json_is_accepted() {
        check(Some("application/json"), true);
        check(Some("Application/JSON; charset=utf-8"), true);
        check(Some("application/cloudevents+json"), true);
        check(None, true);
        check(Some("text/plain"), false);
        check(Some("application/x-www-form-urlencoded"), false);
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
    async fn a_delivery_is_refused_without_memory() {
        let limits = BodyLimits::default();
        let mut held = Vec::new();
        for _ in 0..READING_BYTES_MAX / BODY_BYTES_MAX {
            held.push(limits.reserve_reading(&HeaderMap::new()).await.unwrap());
        }
        let problem = limits.reserve_reading(&HeaderMap::new()).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);
        held.pop();
        assert!(limits.reserve_reading(&HeaderMap::new()).await.is_ok());
    }

    #[test]
    fn the_memory_of_a_delivery_includes_its_ticks_and_fits_alone() {
        assert_eq!(working_bytes(0), DELIVERY_BYTES);
        assert_eq!(working_bytes(55_000), DELIVERY_BYTES + 9 * 55_000);
        let largest = working_bytes(BODY_BYTES_MAX);
        assert_eq!(largest, DELIVERY_BYTES + BODY_BYTES_MAX + TICKS_BYTES_MAX);
        assert!(largest <= WORKING_BYTES_MAX && BODY_BYTES_MAX <= READING_BYTES_MAX);
    }
}
