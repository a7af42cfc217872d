//! Memory for responses that their readers have not accepted yet.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::problem::Problem;

/// Memory for all large responses that are being sent. The largest, a list of 10,000 rows, has about
/// 4 MiB.
pub const RESPONSES_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// From this size on, a response counts: smaller ones fit into what a connection buffers anyway.
pub const LARGE_RESPONSE_BYTES: usize = 64 * 1_024;

/// How long a large response may take. The largest one arrives at 35 KiB/s.
const RESPONSE_WITHIN: Duration = Duration::from_secs(120);

/// When a reader that was refused should come back, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;

/// The memory of large responses.
#[derive(Debug, Clone)]
pub(super) struct Responses(Arc<Semaphore>);

impl Responses {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes_max)))
    }

    /// Gives a large response its share of the memory until it is sent, in small parts, so that little
    /// else is buffered. Without memory, the response is a 503.
    pub(super) fn hold(&self, response: Response) -> Response {
        let size = response.body().size_hint().exact();
        let size = size.and_then(|size| usize::try_from(size).ok());
        let Some(size) = size.filter(|size| *size >= LARGE_RESPONSE_BYTES) else {
            return response;
        };
        let permits = u32::try_from(size).unwrap_or(u32::MAX);
        let Ok(memory) = Arc::clone(&self.0).try_acquire_many_owned(permits) else {
            let detail = "too many large responses are being read slowly: repeat the request in a \
                          few seconds, or ask for fewer rows";
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
                .retry_after(RETRY_AFTER_SECONDS)
                .into_response();
        };
        response.map(|body| {
            Body::new(Parts {
                body,
                rest: Bytes::new(),
                until: Instant::now() + RESPONSE_WITHIN,
                _memory: memory,
            })
        })
    }
}

/// A large body that is handed over in parts.
struct Parts {
    body: Body,
    rest: Bytes,
    until: Instant,
    _memory: OwnedSemaphorePermit,
}

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if Instant::now() >= self.until {
            return Poll::Ready(Some(Err("the response was read too slowly".into())));
        }
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        let part = self.rest.len().min(LARGE_RESPONSE_BYTES);
        let part = self.rest.split_to(part);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let exact = self.body.size_hint().exact();
        exact.map_or_else(SizeHint::default, |body| SizeHint::with_exact(body + rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_large_response_arrives_whole_and_in_time() {
        let responses = Responses::new(RESPONSES_BYTES_MAX);
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(1_000_000).collect();
        let held = responses.hold(Body::from(bytes.clone()).into_response());
        assert_eq!(held.body().size_hint().exact(), Some(1_000_000));
        let read = axum::body::to_bytes(held.into_body(), usize::MAX).await;
        assert_eq!(read.unwrap(), bytes);
        assert_eq!(responses.0.available_permits(), RESPONSES_BYTES_MAX);

        let late = responses.hold(Body::from(bytes).into_response());
        tokio::time::advance(RESPONSE_WITHIN).await;
        let read = axum::body::to_bytes(late.into_body(), usize::MAX).await;
        assert!(read.is_err(), "the reader took too long");
    }
}
