//! The webhook: `POST /webhooks/{source}` accepts a provider's delivery, and returns 200 once its
//! ticks are stored durably.
//!
//! [`router`] is served by a socket or by Lambda's HTTP bridge.

pub mod auth;
mod body;
#[cfg(feature = "lambda")]
pub mod config;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod source_options;
#[cfg(test)]
mod tests;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use app::ingest::{Ingest, IngestError};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use runtime::problem::Problem;

use crate::auth::{AuthError, Secrets};
use crate::body::BodyLimits;
use crate::wire::{Answer, RETRY_AFTER_SECONDS};

pub use crate::body::{BODY_BYTES_MAX, READING_BYTES_MAX, WORKING_BYTES_MAX};

/// What the webhook needs.
pub struct Webhook {
    ingest: Ingest,
    secrets: Secrets,
    body: BodyLimits,
    answer_within: Duration,
}

impl Webhook {
    /// A webhook that accepts deliveries authenticated by one of `secrets`. Without secrets it accepts
    /// all deliveries, which is for loopback only. After `answer_within` it returns 503, while the
    /// delivery is finished in the background.
    #[must_use]
    pub fn new(ingest: Ingest, secrets: Secrets, answer_within: Duration) -> Self {
        Self {
            ingest,
            secrets,
            body: BodyLimits::default(),
            answer_within,
        }
    }

    /// The secrets, for other routes of the same process that need an operator.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

/// The routes.
pub fn router(webhook: Arc<Webhook>) -> Router {
    Router::new()
        .route("/webhooks/{source}", post(receive))
        .with_state(webhook)
}

async fn receive(
    State(webhook): State<Arc<Webhook>>,
    Path(source): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    body::check_media_type(request.headers())?;
    let (parts, body) = request.into_parts();
    let reading = match webhook.body.reserve_reading(&parts.headers).await {
        Ok(permit) => permit,
        Err(problem) => {
            body::discard(body).await;
            return Err(problem);
        }
    };
    let bytes = webhook.body.read(body).await?;
    webhook.authenticate(&parts.headers, &bytes)?;
    let working = webhook.body.reserve_working(bytes.len()).await?;
    drop(reading);
    let task = deliver(Arc::clone(&webhook), source, bytes);
    let task = tokio::spawn(async move {
        let delivered = task.await;
        // Only released now, even if the sender hung up or was asked to retry.
        drop(working);
        delivered
    });
    let done = tokio::time::timeout(webhook.answer_within, task).await;
    match done {
        Ok(Ok(Ok(delivered))) => Ok(Answer::new(delivered).into_response()),
        Ok(Ok(Err(problem))) => Err(problem),
        Ok(Err(panicked)) => {
            tracing::error!(error = %panicked, "a delivery panicked");
            Err(not_stored())
        }
        Err(_) => {
            tracing::warn!("a delivery exceeded the time to a response");
            Err(not_stored())
        }
    }
}

/// Accepts a delivery in its own task, so it is finished even if the sender hangs up.
async fn deliver(
    webhook: Arc<Webhook>,
    name: String,
    bytes: bytes::Bytes,
) -> Result<app::ingest::Delivered, Problem> {
    let Some(source) = sources::find(&name) else {
        let known: Vec<_> = sources::ALL.iter().map(|source| source.name()).collect();
        let message = format!(
            "there is no source with this name; the sources are {}",
            known.join(", ")
        );
        return Err(
            match webhook.ingest.refuse_unknown(&name, &message, &bytes).await {
                IngestError::Unreadable(entry) => {
                    Problem::new(StatusCode::NOT_FOUND, message).with_code(entry.reason.as_str())
                }
                error @ IngestError::NotStored(_) => refused(&error),
            },
        );
    };
    webhook
        .ingest
        .deliver(source, &bytes)
        .await
        .map_err(|error| refused(&error))
}

fn refused(error: &IngestError) -> Problem {
    match error {
        IngestError::Unreadable(entry) => {
            Problem::new(StatusCode::BAD_REQUEST, entry.message.clone())
                .with_code(entry.reason.as_str())
        }
        IngestError::NotStored(cause) => {
            tracing::error!(operation = cause.operation, cause = %cause.source, "a delivery was not stored");
            not_stored()
        }
    }
}

fn not_stored() -> Problem {
    let detail =
        "not stored: deliver again, which is safe (a tick that is delivered twice is stored once)";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(RETRY_AFTER_SECONDS)
}

impl Webhook {
    fn authenticate(&self, headers: &axum::http::HeaderMap, body: &[u8]) -> Result<(), Problem> {
        if self.secrets.is_empty() {
            return Ok(());
        }
        let now_ms = self.ingest.clock.now_ms();
        auth::authenticate(&self.secrets, headers, body, now_ms).map_err(unauthorized)
    }
}

fn unauthorized(error: AuthError) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, error.message()).with_code("unauthorized")
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let kind = HeaderValue::from_static("application/json");
        (StatusCode::OK, [(header::CONTENT_TYPE, kind)], body).into_response()
    }
}
