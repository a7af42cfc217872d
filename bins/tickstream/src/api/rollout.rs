//! The rollout: its state, its history, and its control.

use app::flag_editor::{RolloutError, RolloutRequest};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use domain::{Percentage, RolloutKey};
use runtime::problem::Problem;
use serde::Deserialize;
use serde_json::{Value, json};

use super::json_body;
use super::params::{NoParameters, Query, bad};
use super::read_error::unreadable;
use super::{Api, Shared};

/// Changes shown.
const HISTORY_MAX: usize = 50;

/// What a body has, for people.
const WANTED: &str = "any of use_kinesis, percentage, key, with who and why";

/// The body of `PUT /api/rollout`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    use_kinesis: Option<bool>,
    percentage: Option<Share>,
    key: Option<RolloutKey>,
    who: String,
    why: String,
}

/// A share as a number or as text; both are validated.
#[derive(Deserialize)]
#[serde(untagged)]
enum Share {
    Number(f64),
    Text(String),
}

impl Share {
    fn read(self) -> Result<Percentage, Problem> {
        let read = match self {
            Self::Number(number) => Percentage::try_from(number),
            Self::Text(text) => text.parse(),
        };
        read.map_err(|error| bad(error.to_string()))
    }
}

/// The current flag, with its history, newest first.
pub(super) async fn show(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<Value>, Problem> {
    state(&api).await.map(Json)
}

/// Changes the flag; the change is in effect when this returns.
pub(super) async fn change(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    // Before a byte of the body is read.
    api.operator.check(&headers)?;
    let change: Change = json_body::read(&headers, body, WANTED).await?;
    if api.turned_off && change.use_kinesis != Some(false) {
        let detail = "the process was started with USE_KINESIS=false, which always wins: start it \
                      without that, and change the rollout then (a change with \"use_kinesis\": \
                      false is used)";
        return Err(Problem::new(StatusCode::CONFLICT, detail).with_code("turned_off"));
    }
    let request = RolloutRequest {
        use_kinesis: change.use_kinesis,
        percentage: change.percentage.map(Share::read).transpose()?,
        key: change.key,
        who: change.who,
        why: change.why,
    };
    match api.control.change(request).await {
        Ok(rollout) => {
            tracing::info!(use_kinesis = rollout.use_kinesis, percentage = %rollout.percentage, key = %rollout.key, "the rollout was changed");
            state(&api).await.map(Json)
        }
        Err(error @ (RolloutError::Unsigned { .. } | RolloutError::Nothing)) => {
            Err(bad(error.to_string()))
        }
        Err(RolloutError::Port(error)) => {
            tracing::error!(cause = %error.source, "the rollout could not be changed");
            let detail = "the change could not be stored; the rollout has not changed";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(1))
        }
    }
}

async fn state(api: &Api) -> Result<Value, Problem> {
    let rollout = api.control.flag.current().await;
    let history = api
        .control
        .store
        .history(HISTORY_MAX)
        .await
        .map_err(unreadable)?;
    let history: Vec<_> = history
        .iter()
        .map(|change| {
            json!({
                "at": change.at_ms,
                "who": change.who,
                "why": change.why,
                "use_kinesis": change.rollout.use_kinesis,
                "percentage": f64::from(change.rollout.percentage),
                "key": change.rollout.key,
            })
        })
        .collect();
    Ok(json!({
        "use_kinesis": rollout.use_kinesis,
        "percentage": f64::from(rollout.percentage),
        "key": rollout.key,
        "history": history,
    }))
}
