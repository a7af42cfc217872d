//! `POST /api/rebuild`: computes the candles of a range again from the stored ticks, and compares or replaces them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use app::candle_rebuild::{RebuildReport, RebuildRequest, rebuild};
use app::ports::PortError;
use app::time_text::time_text;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use domain::Token;
use runtime::problem::Problem;
use serde::Deserialize;
use store::NotAnalysed;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::params::{NoParameters, Query, bad, check_range};
use super::{Api, Shared, json_body};
use crate::job;

/// How long the analysis may take to catch up with what is in the stream.
const ANALYSED_WITHIN: Duration = Duration::from_secs(10);

/// What was received within this time may be on its way to the stream.
const RECENT_MS: i64 = 60_000;

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Event time, epoch milliseconds, inclusive.
    from: i64,
    /// Epoch milliseconds, exclusive.
    to: i64,
    /// As they are stored; none means all.
    #[serde(default)]
    tokens: BTreeSet<Token>,
    /// Whether candles are replaced.
    #[serde(default)]
    apply: bool,
}

/// Compares, and replaces if that is requested. Stops when the caller hangs up.
pub(super) async fn run(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    // Before a byte of the body is read.
    api.operator.check(&headers)?;
    let wanted: Wanted = json_body::read(
        &headers,
        body,
        "from and to (epoch milliseconds), tokens, and apply",
    )
    .await?;
    check_range(wanted.from, wanted.to)?;
    let complete_from_ms = api.store.complete_from_ms();
    if wanted.from < complete_from_ms {
        let complete_from = time_text(complete_from_ms);
        return Err(bad(format!(
            "ticks with event times before {complete_from} ({complete_from_ms}) may have been removed, so that their candles cannot be \
             computed: use a later `from`"
        ))
        .with_code("ticks_removed"));
    }
    let now_ms = runtime::clock::now_ms();
    api.store
        .analysed_within(ANALYSED_WITHIN)
        .await
        .map_err(not_analysed)?;
    let request = RebuildRequest {
        from_ms: wanted.from,
        to_ms: wanted.to,
        tokens: wanted.tokens,
        received_before_ms: now_ms - RECENT_MS,
        apply: wanted.apply,
    };
    let ending = api.ending.clone();
    Ok(job::respond(
        RebuildReport::default(),
        &ending,
        move |progress, stop| rebuilt(api, request, progress, stop),
    ))
}

async fn rebuilt(
    api: Arc<Api>,
    request: RebuildRequest,
    progress: watch::Sender<RebuildReport>,
    stop: CancellationToken,
) -> Result<RebuildReport, String> {
    let stopped = || stop.is_cancelled();
    let seen = |report: &RebuildReport| drop(progress.send_replace(report.clone()));
    let (report, done) = rebuild(&api.store, &api.store, &request, &stopped, &seen).await;
    if report.replaced > 0 {
        tracing::info!(
            replaced = report.replaced,
            "candles were replaced by those of the stored ticks"
        );
    }
    done.map(|()| report).map_err(|error| {
        log(&error);
        "the store cannot be read or written; the cause is in the log, and a repetition is safe"
            .to_owned()
    })
}

fn log(error: &PortError) {
    tracing::error!(error = %error, cause = %error.source, "candles could not be rebuilt");
}

fn not_analysed(error: NotAnalysed) -> Problem {
    match &error {
        NotAnalysed::Failed(cause) => {
            log(cause);
            let detail = "the store cannot be read; the cause is in the log";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        }
        NotAnalysed::Outbox | NotAnalysed::Behind(_) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).retry_after(5)
        }
    }
}
