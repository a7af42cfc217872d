//! `POST /api/archive/flush`: writes the stream to the archive now instead of at the next interval.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use runtime::problem::Problem;
use serde_json::{Value, json};

use super::params::{NoParameters, Query};
use super::{Api, Shared};

/// When a flush that failed may be tried again: a failed store needs some seconds to be opened again.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Returns once every tick that was streamed before the call is in the archive's files.
pub(super) async fn flush(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    api.operator.check(&headers)?;
    let flushed = flush_detached(&api).await?;
    Ok(Json(
        json!({ "ticks": flushed.ticks, "files": flushed.files }),
    ))
}

/// Runs in its own task, since a caller that disconnects must not stop it halfway.
async fn flush_detached(api: &Api) -> Result<store::Flushed, Problem> {
    let archiver = std::sync::Arc::clone(&api.archiver);
    let flushed = tokio::spawn(async move { archiver.flush().await }).await;
    let failed = |error: &(dyn std::error::Error + 'static)| {
        tracing::error!(error = %runtime::causes::joined(error), "the archive cannot be written");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the archive cannot be written; the cause is in the log, and the next flush continues",
        )
        .retry_after(RETRY_AFTER_SECONDS)
    };
    match flushed {
        Ok(Ok(flushed)) => Ok(flushed),
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}
