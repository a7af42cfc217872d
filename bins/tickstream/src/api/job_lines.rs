//! The response of a job whose lines of progress are what it is asked for: in the form of [`crate::job`], which keeps only
//! the newest, but here each is sent, as fast as the caller reads.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use serde_json::Value;
use tokio::sync::mpsc;

/// Lines that wait for the caller.
const LINES_WAITING_MAX: usize = 4;

/// Writes the lines of a job.
pub(super) struct JobLines(mpsc::Sender<Bytes>);

/// The caller has hung up, and wants no more lines.
pub(super) struct HungUp;

impl JobLines {
    /// A response, and what writes its lines.
    pub(super) fn new() -> (Self, Response) {
        let (sender, receiver) = mpsc::channel(LINES_WAITING_MAX);
        let lines = stream::unfold(receiver, |mut receiver: mpsc::Receiver<Bytes>| async move {
            let line = receiver.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(line), receiver))
        });
        let mut response = Response::new(Body::from_stream(lines));
        let kind = HeaderValue::from_static("application/x-ndjson");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        (Self(sender), response)
    }

    /// How far it is, as JSON.
    pub(super) async fn progress(&self, json: &[u8]) -> Result<(), HungUp> {
        self.line("progress", json).await
    }

    /// What it found or did; the last line.
    pub(super) async fn result(&self, result: &Value) -> Result<(), HungUp> {
        self.line("result", result.to_string().as_bytes()).await
    }

    /// Why it ended without a result; the last line.
    pub(super) async fn error(&self, why: &str) -> Result<(), HungUp> {
        let why = Value::from(why).to_string();
        self.line("error", why.as_bytes()).await
    }

    async fn line(&self, kind: &str, json: &[u8]) -> Result<(), HungUp> {
        let line = [b"{\"", kind.as_bytes(), b"\":", json, b"}\n"].concat();
        self.0.send(Bytes::from(line)).await.map_err(|_| HungUp)
    }
}
