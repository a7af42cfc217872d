//! A delivery's body: limits for its media type and size, and for the memory of all; and how it is decoded.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use runtime::problem::Problem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::body_size::{BODY_BYTES_MAX, too_large};
use crate::content_coding::{COMPRESSED_BYTES_MAX, ContentCoding, DecodeError};
use crate::memory::{memory, reserve, try_reserve};
use crate::uploads::Uploads;

/// Memory for bodies whose senders have echoed a secret, while they are being read.
pub const READING_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// Memory for bodies whose senders are not known before the whole body was read, since it is signed. It is
/// apart from that of the others, so that a stranger takes nothing from a sender that has echoed a secret.
pub const UNAUTHENTICATED_BYTES_MAX: usize = 16 * 1_024 * 1_024;

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

/// The most bytes of a refused body that are still read, so its sender sees the response instead of a
/// broken connection.
const DISCARDED_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// How long a refused body is still read.
const DISCARD_WITHIN: Duration = Duration::from_secs(2);

/// The memory budgets for bodies and for deliveries. Bodies have their own, since with a single one,
/// deliveries that hold memory for their bodies could wait for each other.
pub(crate) struct BodyLimits {
    /// For senders that are known by their headers.
    pub(crate) known: Uploads,
    /// For those that are not yet.
    pub(crate) unauthenticated: Uploads,
    working: Arc<Semaphore>,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self::new(
            READING_BYTES_MAX,
            UNAUTHENTICATED_BYTES_MAX,
            WORKING_BYTES_MAX,
        )
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
    pub(crate) fn new(
        reading_bytes_max: usize,
        unauthenticated_bytes_max: usize,
        working_bytes_max: usize,
    ) -> Self {
        Self {
            known: Uploads::new(reading_bytes_max),
            unauthenticated: Uploads::new(unauthenticated_bytes_max),
            working: memory(working_bytes_max),
        }
    }

    /// Decodes a body within the limit for its size, and reserves the memory of the delivery: see
    /// [`BodyLimits::reserve_working`].
    pub(crate) async fn decode(
        &self,
        coding: ContentCoding,
        sent: Bytes,
    ) -> Result<(Decoded, OwnedSemaphorePermit), Problem> {
        let body = match coding.decode(&sent, BODY_BYTES_MAX) {
            Ok(body) => body,
            Err(DecodeError::TooLarge) => return Err(too_large()),
            Err(DecodeError::LargeCompressed) => return Err(large_compressed()),
            Err(DecodeError::Corrupt(message)) => {
                let working = self.reserve_working(sent.len()).await?;
                return Ok((Decoded::Corrupt { sent, message }, working));
            }
        };
        let bytes = body.len();
        if let Some(working) = try_reserve(&self.working, working_bytes(bytes)) {
            return Ok((Decoded::Body(body), working));
        }
        // A body that waits is not kept decoded: a small one may be a large one then.
        drop(body);
        let working = self.reserve_working(bytes).await?;
        let decoded = match coding.decode(&sent, bytes) {
            Ok(body) => Decoded::Body(body),
            Err(error) => Decoded::Corrupt {
                sent,
                message: error.to_string(),
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
}

fn large_compressed() -> Problem {
    let detail = format!(
        "the compressed body is larger than {COMPRESSED_BYTES_MAX} bytes: send fewer entries in a delivery, or \
         send it uncompressed"
    );
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// Reads and discards a refused body in the background, within limits, so that its sender gets to read
/// the response. A sender that waits for our permission to send a body does not get it.
pub(crate) fn discard(headers: &HeaderMap, body: Body) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let mut body = Limited::new(body, DISCARDED_BYTES_MAX);
    tokio::spawn(async move {
        let reading = async { while let Some(Ok(_)) = body.frame().await {} };
        // A sender that is slower has its connection closed instead.
        drop(tokio::time::timeout(DISCARD_WITHIN, reading).await);
    });
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

    #[test]
    fn the_memory_of_a_delivery_includes_its_ticks_and_fits_alone() {
        assert_eq!(working_bytes(0), DELIVERY_BYTES);
        assert_eq!(working_bytes(55_000), DELIVERY_BYTES + 9 * 55_000);
        let largest = working_bytes(BODY_BYTES_MAX);
        assert_eq!(largest, DELIVERY_BYTES + BODY_BYTES_MAX + TICKS_BYTES_MAX);
        assert!(largest <= WORKING_BYTES_MAX);
        let smaller = READING_BYTES_MAX.min(UNAUTHENTICATED_BYTES_MAX);
        assert!(BODY_BYTES_MAX <= smaller);
    }
}
