//! `POST /api/verify`: compares store, stream and archive tick by tick. `GET /api/proof`: the last result.

use std::future::Future;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ops::verify::{Phase, Progress, Proof, VerifyError, VerifyRequest, Watch};
use runtime::problem::Problem;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::params::{NoParameters, Query};
use super::read_error::unreadable;
use super::{Api, Shared, json_body};
use crate::job;

/// What the body has.
const WANTED: &str = "from_ms and to_ms, and any of one_in, repeats_max, repair and due_after";

/// Writes progress while it compares, and at the end the proof.
pub(super) async fn run(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    api.operator.check(&headers)?;
    let request: VerifyRequest = json_body::read(&headers, body, WANTED).await?;
    let now_ms = runtime::clock::now_ms();
    if let Err(error) = api.verify.range(&request, now_ms) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, error.to_string()));
    }
    respond(Arc::clone(&api), move |watch| async move {
        compare(&api, &request, now_ms, &watch).await
    })
}

/// Responds with a job that compares, in its turn: there is one at a time.
pub(super) fn respond<R, F>(
    api: Arc<Api>,
    job: impl FnOnce(Reported) -> F + Send + 'static,
) -> Result<Response, Problem>
where
    R: Serialize + Send + 'static,
    F: Future<Output = Result<R, VerifyError>> + Send + 'static,
{
    let Ok(turn) = Arc::clone(&api.verifying).try_lock_owned() else {
        let detail = "a comparison or a replay is already running: try again when it has finished";
        return Err(Problem::new(StatusCode::CONFLICT, detail).with_code("verify_running"));
    };
    let begun = Progress {
        phase: Phase::StoreAndStream,
        done: 0,
        of: None,
    };
    Ok(job::respond(
        begun,
        &api.ending,
        move |progress, stop| async move {
            let done = job(Reported { progress, stop }).await;
            drop(turn);
            done.map_err(|error| {
                let cause = runtime::causes::joined(&error);
                if matches!(error, VerifyError::Stopped) {
                    tracing::info!("the comparison was stopped");
                } else {
                    tracing::error!(error = %cause, "the comparison failed");
                }
                cause
            })
        },
    ))
}

/// The last proof, its outcome in a word (null before the first one), and whether a step up can rest on it.
pub(super) async fn last(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<Value>, Problem> {
    let proof = api.store.last_proof().await.map_err(unreadable)?;
    let changes = api.control.store.history(1).await.map_err(unreadable)?;
    let began_ms = changes.first().map_or(0, |change| change.at_ms);
    let now_ms = runtime::clock::now_ms();
    let why_not = |proof: &Proof| api.verify.why_not_of_stage(proof, began_ms, now_ms);
    let why_not_of_stage = proof.as_ref().and_then(why_not);
    let proves_stage = proof.is_some() && why_not_of_stage.is_none();
    let verdict = proof.as_ref().map(Proof::verdict);
    Ok(Json(json!({
        "verdict": verdict,
        "proof": proof,
        "proves_stage": proves_stage,
        "why_not_of_stage": why_not_of_stage,
    })))
}

/// Reports progress to the response, and stops with it.
pub(super) struct Reported {
    progress: watch::Sender<Progress>,
    stop: CancellationToken,
}

impl Watch for Reported {
    fn progress(&self, progress: Progress) {
        self.progress.send_replace(progress);
    }

    fn stopped(&self) -> bool {
        self.stop.is_cancelled()
    }
}

async fn compare(
    api: &Api,
    request: &VerifyRequest,
    now_ms: i64,
    watch: &Reported,
) -> Result<Proof, VerifyError> {
    let proof = api.verify.run(request, now_ms, watch).await?;
    tracing::info!(
        verdict = ?proof.verdict(),
        cohort = proof.counts.cohort,
        matched = proof.counts.matched,
        "store, stream and archive were compared"
    );
    Ok(proof)
}
