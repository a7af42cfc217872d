//! `POST /api/replay/stream`: appends ticks of the store or of the archive to the stream, if it lacks them.

use std::sync::Arc;

use app::tick_replay::TickReplayReport;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ops::verify::{StreamReplayRequest, VerifyError};
use runtime::problem::Problem;
use tokio::sync::OwnedMutexGuard;

use super::params::{NoParameters, Query};
use super::verify::{BEGUN, Reported, turn};
use super::{Api, Shared, json_body};
use crate::job;

/// What the body has.
const WANTED: &str =
    "from_ms, to_ms and per_second_max, and optionally tokens, only_archived and dry_run";

/// Writes progress while it compares and appends, and at the end what became of the ticks.
pub(super) async fn run(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    api.operator.check(&headers)?;
    let request: StreamReplayRequest = json_body::read(&headers, body, WANTED).await?;
    let now_ms = runtime::clock::now_ms();
    if let Err(error) = api.verify.replay_range(&request, now_ms) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, error.to_string()));
    }
    let turn = turn(&api)?;
    let ending = api.ending.clone();
    Ok(job::respond(BEGUN, &ending, move |progress, stop| {
        replay(api, request, now_ms, Reported { progress, stop }, turn)
    }))
}

async fn replay(
    api: Arc<Api>,
    request: StreamReplayRequest,
    now_ms: i64,
    watch: Reported,
    _turn: OwnedMutexGuard<()>,
) -> Result<TickReplayReport, String> {
    let replayed = api.verify.replay_into_stream(&request, now_ms, &watch);
    let report = replayed.await.map_err(|error| {
        let cause = runtime::causes::joined(&error);
        if matches!(error, VerifyError::Stopped) {
            tracing::info!("the replay into the stream was stopped");
        } else {
            tracing::error!(error = %cause, "the replay into the stream failed");
        }
        cause
    })?;
    tracing::info!(
        selected = report.selected,
        appended = report.sent.new,
        dry_run = request.dry_run,
        "ticks were replayed into the stream"
    );
    Ok(report)
}
