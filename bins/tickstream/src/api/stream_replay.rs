//! `POST /api/replay/stream`: appends ticks of the store or of the archive to the stream, if it lacks them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ops::verify::StreamReplayRequest;
use runtime::problem::Problem;

use super::params::{NoParameters, Query};
use super::verify::respond;
use super::{Shared, json_body};

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
    respond(Arc::clone(&api), move |watch| async move {
        let report = api.verify.replay_into_stream(&request, now_ms, &watch);
        let report = report.await?;
        tracing::info!(
            selected = report.selected,
            appended = report.sent.new,
            dry_run = request.dry_run,
            "ticks were replayed into the stream"
        );
        Ok(report)
    })
}
