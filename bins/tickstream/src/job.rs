//! A job that may take minutes, whose response is written while it works: a JSON object a line, `{"progress": …}`
//! once a second, and at the end `{"result": …}` or `{"error": "…"}`.
//!
//! Whoever stops reading stops the job.

use std::future::Future;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Interval;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often progress is written.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// A running job, as its response sees it.
struct Running<P, R> {
    progress: watch::Receiver<P>,
    ended: JoinHandle<Result<R, String>>,
    turns: Interval,
    _stop: DropGuard,
}

/// Starts a job and returns its response. The job gets a sender of its progress, which is `begun` until it sends
/// another, and a token that is cancelled once nobody reads the response, or with `ending`; its error is a sentence for
/// people.
pub(crate) fn respond<P, R, F>(
    begun: P,
    ending: &CancellationToken,
    job: impl FnOnce(watch::Sender<P>, CancellationToken) -> F,
) -> Response
where
    P: Serialize + Clone + Send + Sync + 'static,
    R: Serialize + Send + 'static,
    F: Future<Output = Result<R, String>> + Send + 'static,
{
    let (sender, progress) = watch::channel(begun);
    let stop = ending.child_token();
    let running = Running {
        progress,
        ended: tokio::spawn(job(sender, stop.clone())),
        turns: tokio::time::interval(PROGRESS_EVERY),
        _stop: stop.drop_guard(),
    };
    let lines = stream::unfold(Some(running), |running| async {
        let (line, running) = next_line(running?).await;
        Some((Ok::<_, std::convert::Infallible>(line), running))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}

/// The next line, and the job if it still runs.
async fn next_line<P, R>(mut running: Running<P, R>) -> (Bytes, Option<Running<P, R>>)
where
    P: Serialize + Clone,
    R: Serialize,
{
    let last = tokio::select! {
        biased;
        ended = &mut running.ended => match ended {
            Ok(Ok(result)) => json!({ "result": result }),
            Ok(Err(error)) => json!({ "error": error }),
            Err(error) => {
                tracing::error!(%error, "a job ended with a panic");
                json!({ "error": "the job failed; the cause is in the log" })
            }
        },
        _ = running.turns.tick() => {
            let progress = running.progress.borrow().clone();
            return (line(&json!({ "progress": progress })), Some(running));
        }
    };
    (line(&last), None)
}

fn line(value: &serde_json::Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}
