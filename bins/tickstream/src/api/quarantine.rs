//! The quarantine: its entries, and their replay once the cause is fixed.

use std::sync::Arc;

use app::ports::PortError;
use app::quarantine_review::{
    EntryOutcome, QuarantineFilter, QuarantineReview as _, ReplayRecord, replay_entry,
};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use domain::Reason;
use runtime::problem::Problem;
use serde::Deserialize;
use serde_json::{Value, json};

use super::params::{Entries, NoParameters, Path, Query, bad};
use super::{Api, Shared, json_body};

/// The most entries of one request: each is a delivery of its own.
const IDS_MAX: usize = 100;

/// The body of `POST /api/quarantine/replay`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    ids: Vec<String>,
    who: String,
}

/// Malformed entries, newest first, with what became of them.
pub(super) async fn list(
    State(api): Shared,
    Query(rows): Query<Entries>,
) -> Result<Json<Value>, Problem> {
    let range = rows.range()?;
    let filter = QuarantineFilter {
        from_ms: range.from_ms,
        to_ms: range.to_ms,
        reason: rows.reason.as_deref().map(reason).transpose()?,
        source: rows.source,
    };
    let found = api.store.entries(&filter, range.limit).await;
    Ok(Json(json!({ "quarantine": found.map_err(unreadable)? })))
}

/// One entry.
pub(super) async fn show(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
    Path(id): Path,
) -> Result<Json<Value>, Problem> {
    let found = api.store.entry(&id).await.map_err(unreadable)?;
    found.map(|entry| Json(json!(entry))).ok_or_else(missing)
}

/// Delivers entries again, one after the other, and records what became of each. Returns that in the order of the
/// request. Entries that cannot be delivered now are not recorded: the whole request can be repeated.
pub(super) async fn replay(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    // Before a byte of the body is read.
    api.operator.check(&headers)?;
    let wanted = "ids (at most 100 of the entries in GET /api/quarantine) and who";
    let request: Replay = json_body::read(&headers, body, wanted).await?;
    if request.ids.is_empty() || request.ids.len() > IDS_MAX {
        return Err(bad(format!("send 1 to {IDS_MAX} ids")));
    }
    let who = json_body::who(&request.who)?;
    // In its own task, since a caller that disconnects must not stop a delivery halfway.
    let replayed = tokio::spawn(async move { replay_all(&api, request.ids, who).await }).await;
    let outcomes = replayed.map_err(|error| not_replayed(&error))??;
    Ok(Json(json!({ "outcomes": outcomes })))
}

async fn replay_all(api: &Arc<Api>, ids: Vec<String>, who: String) -> Result<Vec<Value>, Problem> {
    let mut outcomes = Vec::with_capacity(ids.len());
    for id in ids {
        let entry = api.store.entry(&id).await.map_err(unreadable)?;
        let Some(entry) = entry else {
            let outcome = EntryOutcome::NotReplayable {
                why: "there is no such entry, or it has been removed".to_owned(),
            };
            outcomes.push(json!({ "id": id, "replayed": outcome }));
            continue;
        };
        let outcome = replay_entry(&api.ingest, &entry.kept).await;
        let record = ReplayRecord {
            at_ms: runtime::clock::now_ms(),
            who: who.clone(),
            outcome: outcome.map_err(|error| not_replayed(&*error.source))?,
        };
        let recorded = api.store.record(&[(id.clone(), record.clone())]).await;
        recorded.map_err(|error| not_replayed(&*error.source))?;
        outcomes.push(json!({ "id": id, "replayed": record }));
    }
    tracing::info!(
        entries = outcomes.len(),
        who,
        "quarantined entries were replayed"
    );
    Ok(outcomes)
}

fn reason(text: &str) -> Result<Reason, Problem> {
    let known = Reason::ALL.into_iter().find(|it| it.as_str() == text);
    known.ok_or_else(|| {
        let names = Reason::ALL.map(Reason::as_str).join("`, `");
        bad(format!("`reason` must be one of `{names}`"))
    })
}

fn missing() -> Problem {
    let detail = "there is no such entry, or it has been removed: GET /api/quarantine lists those that exist";
    Problem::new(StatusCode::NOT_FOUND, detail)
}

fn unreadable(error: PortError) -> Problem {
    super::read_error::unreadable(error)
}

fn not_replayed(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error = %runtime::causes::joined(error), "quarantined entries could not be replayed");
    let detail =
        "not all were replayed; the cause is in the log. Send the request again, which is safe";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(1)
}
