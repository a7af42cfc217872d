//! Anomalies, and what people say about them.

use app::live::AnomalyJson;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::{Pair, TickId, Token};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{AnomalyPlace, Mute, SaidBy};

use super::params::{self, NoParameters, Query, bad};
use super::read_error::unreadable;
use super::{Api, Shared, json_body};

/// An anomaly with what people say about it.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    anomaly: AnomalyJson<'a>,
    /// Who marked it as a false alarm.
    false_alarm: Option<SaidBy>,
}

/// The body of `PUT /api/anomalies/mark`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    token: String,
    quote: String,
    timestamp: i64,
    tick_id: String,
    false_alarm: bool,
    who: String,
}

/// The body of `PUT /api/anomalies/mute`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MuteRequest {
    token: String,
    quote: String,
    muted: bool,
    /// Epoch milliseconds; until somebody ends it, if it is omitted.
    until: Option<i64>,
    who: String,
}

/// Anomalies, newest first, and the muted pairs.
pub(super) async fn list(
    State(api): Shared,
    Query(asked): Query<params::Anomalies>,
) -> Result<Response, Problem> {
    let limit = params::limit(asked.limit.as_deref())?;
    let token = match asked.token.as_deref() {
        Some(token) => Some(api.token(token).await?),
        None => None,
    };
    let found = api
        .store
        .anomalies(token.as_deref(), limit)
        .await
        .map_err(unreadable)?;
    if let Some(token) = &token
        && found.is_empty()
        && !api.store.has_pair(token, None).await.map_err(unreadable)?
    {
        return Err(api.unknown(token, None).await);
    }
    let marks = api.store.false_alarms(&found).await.map_err(unreadable)?;
    let rows: Vec<_> = found
        .iter()
        .zip(marks)
        .map(|(anomaly, false_alarm)| Row {
            anomaly: AnomalyJson::of(anomaly),
            false_alarm,
        })
        .collect();
    Ok(Json(json!({ "anomalies": rows, "muted": muted(&api).await? })).into_response())
}

/// How many of each kind there were, and how many were false alarms.
pub(super) async fn review(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<Value>, Problem> {
    let kinds = api.store.anomaly_review().await.map_err(unreadable)?;
    Ok(Json(json!({ "kinds": kinds })))
}

/// Marks an anomaly as a false alarm, or removes the mark.
pub(super) async fn mark(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    // Before a byte of the body is read.
    api.operator.check(&headers)?;
    let wanted = "token, quote, timestamp and tick_id of an anomaly, false_alarm and who";
    let mark: Mark = json_body::read(&headers, body, wanted).await?;
    let by = said_by(&mark.who)?;
    let place = AnomalyPlace {
        pair: pair(&mark.token, &mark.quote)?,
        timestamp_ms: mark.timestamp,
        tick_id: TickId::try_from(mark.tick_id)
            .map_err(|error| bad(format!("`tick_id`: {error}")))?,
    };
    let marked = api
        .store
        .mark_anomaly(place, mark.false_alarm.then_some(by));
    if marked.await.map_err(unreadable)? {
        Ok(Json(json!({ "false_alarm": mark.false_alarm })))
    } else {
        let detail = "there is no such anomaly, or it has been removed: see GET /api/anomalies";
        Err(Problem::new(StatusCode::NOT_FOUND, detail))
    }
}

/// Mutes a pair, or ends that.
pub(super) async fn mute(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    // Before a byte of the body is read.
    api.operator.check(&headers)?;
    let wanted =
        "token, quote, muted, who and, if it is to end by itself, until (epoch milliseconds)";
    let request: MuteRequest = json_body::read(&headers, body, wanted).await?;
    let by = said_by(&request.who)?;
    if request.until.is_some_and(|until| until <= by.at_ms) {
        return Err(bad("`until` is in the past: send epoch milliseconds"));
    }
    let pair = pair(&request.token, &request.quote)?;
    let known = api
        .store
        .has_pair(pair.token.as_str(), Some(pair.quote.as_str()));
    if !known.await.map_err(unreadable)? {
        return Err(api
            .unknown(pair.token.as_str(), Some(pair.quote.as_str()))
            .await);
    }
    let mute = request.muted.then_some(Mute {
        until_ms: request.until,
        by,
    });
    api.store.mute_pair(pair, mute).await.map_err(unreadable)?;
    Ok(Json(json!({ "muted": muted(&api).await? })))
}

async fn muted(api: &Api) -> Result<Vec<Value>, Problem> {
    let muted = api.store.muted_pairs(runtime::clock::now_ms()).await;
    let muted = muted.map_err(unreadable)?;
    let row = |(pair, mute): &(Pair, Mute)| {
        json!({
            "token": pair.token.as_str(),
            "quote": pair.quote.as_str(),
            "until": mute.until_ms,
            "who": mute.by.who,
            "at": mute.by.at_ms,
        })
    };
    Ok(muted.iter().map(row).collect())
}

fn pair(token: &str, quote: &str) -> Result<Pair, Problem> {
    let name = |field: &str, text: &str| {
        Token::new(text).map_err(|error| bad(format!("`{field}`: {error}")))
    };
    Ok(Pair {
        token: name("token", token)?,
        quote: name("quote", quote)?,
    })
}

fn said_by(who: &str) -> Result<SaidBy, Problem> {
    Ok(SaidBy {
        who: json_body::who(who)?,
        at_ms: runtime::clock::now_ms(),
    })
}
