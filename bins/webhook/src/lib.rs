//! The webhook: `POST /webhooks/{source}` accepts a provider's delivery, and returns 200 once its
//! ticks are stored durably.
//!
//! [`router`] is served by a socket or by Lambda's HTTP bridge.

pub mod auth;
mod body;
mod body_size;
#[cfg(feature = "lambda")]
pub mod config;
mod content_coding;
#[cfg(feature = "lambda")]
pub mod lambda;
mod memory;
#[cfg(feature = "lambda")]
pub mod parameter_secrets;
pub mod source_options;
#[cfg(test)]
mod tests;
mod uploads;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use app::ingest::{Ingest, IngestError};
use app::quarantine_review::QUARANTINED_HEADER;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use domain::Reason;
use runtime::log_rate::LogRate;
use runtime::problem::Problem;
use tokio::sync::OwnedSemaphorePermit;

use crate::auth::{ActiveSecrets, AuthError, Secrets, SecretsTooOld, Sender};
use crate::body::{BodyLimits, Decoded};
use crate::content_coding::ContentCoding;
use crate::wire::{Answer, RETRY_AFTER_SECONDS};

pub use crate::body::{READING_BYTES_MAX, UNAUTHENTICATED_BYTES_MAX, WORKING_BYTES_MAX};
pub use crate::body_size::{BODY_BYTES_MAX, ENVELOPE_BYTES_MAX, EVENT_BYTES_MAX};

/// What the webhook needs.
pub struct Webhook {
    ingest: Ingest,
    secrets: Arc<dyn ActiveSecrets>,
    body: BodyLimits,
    answer_within: Duration,
}

impl Webhook {
    /// A webhook that accepts deliveries authenticated by one of `secrets`. If there are none, it accepts
    /// all deliveries, which is for loopback only; if they are too old, it returns 503. After `answer_within` it returns 503, while the
    /// delivery is finished in the background.
    #[must_use]
    pub fn new(ingest: Ingest, secrets: Arc<dyn ActiveSecrets>, answer_within: Duration) -> Self {
        Self {
            ingest,
            secrets,
            body: BodyLimits::default(),
            answer_within,
        }
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
    let (parts, mut body) = request.into_parts();
    let secrets = webhook.secrets.current().await;
    let read = async {
        let secrets = secrets.map_err(too_old)?;
        let read = webhook.read(&secrets, &parts.headers, &mut body).await?;
        Ok((secrets, read))
    };
    let (secrets, read) = match read.await {
        Ok(read) => read,
        Err(problem) => {
            body::discard(&parts.headers, body);
            return Err(problem);
        }
    };
    read.sender
        .verify(&secrets, &read.bytes)
        .map_err(unauthorized)?;
    // Only now: nothing is decompressed before its sender is known.
    let (body, working) = webhook.body.decode(read.coding, read.bytes).await?;
    drop(read.memory);
    let quarantined = parts.headers.contains_key(QUARANTINED_HEADER);
    let task = deliver(Arc::clone(&webhook), source, body, quarantined);
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
            static RATE: LogRate = LogRate::new();
            if let Some(left_out) = RATE.line_due() {
                tracing::warn!(left_out, "a delivery exceeded the time to a response");
            }
            Err(not_stored())
        }
    }
}

/// Accepts a delivery in its own task, so it is finished even if the sender hangs up.
async fn deliver(
    webhook: Arc<Webhook>,
    name: String,
    body: Decoded,
    quarantined: bool,
) -> Result<app::ingest::Delivered, Problem> {
    let Some(source) = sources::find(&name) else {
        let known: Vec<_> = sources::ALL.iter().map(|source| source.name()).collect();
        let message = format!(
            "there is no source with this name; the sources are {}",
            known.join(", ")
        );
        if quarantined {
            let problem = Problem::new(StatusCode::NOT_FOUND, message);
            return Err(problem.with_code(Reason::UnknownSource.as_str()));
        }
        return Err(
            match webhook
                .ingest
                .refuse_unknown(&name, &message, body.bytes())
                .await
            {
                IngestError::Unreadable(entry) => {
                    Problem::new(StatusCode::NOT_FOUND, message).with_code(entry.reason.as_str())
                }
                error @ IngestError::NotStored(_) => refused(&error),
            },
        );
    };
    let delivered = match &body {
        Decoded::Body(bytes) if quarantined => {
            webhook.ingest.deliver_quarantined(source, bytes).await
        }
        Decoded::Body(bytes) => webhook.ingest.deliver(source, bytes).await,
        Decoded::Corrupt { sent, message } => {
            Err(webhook.ingest.refuse_body(&name, message, sent).await)
        }
    };
    delivered.map_err(|error| refused(&error))
}

fn refused(error: &IngestError) -> Problem {
    match error {
        IngestError::Unreadable(entry) => {
            Problem::new(StatusCode::BAD_REQUEST, entry.message.clone())
                .with_code(entry.reason.as_str())
        }
        IngestError::NotStored(cause) => {
            static RATE: LogRate = LogRate::new();
            if let Some(left_out) = RATE.line_due() {
                tracing::error!(operation = cause.operation, cause = %cause.source, left_out, "a delivery was not stored");
            }
            not_stored()
        }
    }
}

fn not_stored() -> Problem {
    let detail =
        "not stored: deliver again, which is safe (a tick that is delivered twice is stored once)";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(RETRY_AFTER_SECONDS)
}

/// A body, and what its headers say.
struct Read {
    sender: Sender,
    coding: ContentCoding,
    bytes: Bytes,
    memory: OwnedSemaphorePermit,
}

impl Webhook {
    /// Reads a body, if its headers allow that. Its sender may only be known with the body.
    async fn read(
        &self,
        secrets: &Secrets,
        headers: &HeaderMap,
        body: &mut Body,
    ) -> Result<Read, Problem> {
        let sender = if secrets.is_empty() {
            Sender::Known
        } else {
            let now_ms = self.ingest.clock.now_ms();
            Sender::of(secrets, headers, now_ms).map_err(unauthorized)?
        };
        body::check_media_type(headers)?;
        let coding = ContentCoding::of(headers)?;
        let uploads = match &sender {
            Sender::Known => &self.body.known,
            Sender::Signed(_) => &self.body.unauthenticated,
        };
        let (bytes, memory) = uploads.read(headers, body).await?;
        Ok(Read {
            sender,
            coding,
            bytes,
            memory,
        })
    }
}

/// Not a 401: the sender is not to blame, and its next attempt may succeed.
fn too_old(error: SecretsTooOld) -> Problem {
    static RATE: LogRate = LogRate::new();
    if let Some(left_out) = RATE.line_due() {
        tracing::error!(%error, left_out, "a delivery was refused");
    }
    not_stored()
}

fn unauthorized(error: AuthError) -> Problem {
    // Nothing else says why callers get a 401; strangers get one too, so at most a line a second.
    static RATE: LogRate = LogRate::new();
    if let Some(left_out) = RATE.line_due() {
        tracing::warn!(
            reason = %error,
            left_out,
            "a delivery was not authenticated"
        );
    }
    Problem::new(StatusCode::UNAUTHORIZED, error.message()).with_code("unauthorized")
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let kind = HeaderValue::from_static("application/json");
        (StatusCode::OK, [(header::CONTENT_TYPE, kind)], body).into_response()
    }
}
