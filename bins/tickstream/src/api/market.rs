//! Tokens, ticks, candles, averages and anomalies.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use codec::json::TickJson;
use domain::aliases;
use domain::analytics::Interval;
use runtime::problem::Problem;
use serde_json::json;

use super::params::{self, Path, Query, Range, bad};
use super::{Api, Shared};
use crate::wire::{AnomalyJson, AveragesJson, CandleJson};

/// Tokens named in the answer to an unknown one.
const KNOWN_NAMED_MAX: usize = 10;

impl Api {
    fn unknown(&self, token: &str) -> Problem {
        let latest = self.store.latest_ticks();
        let mut known: Vec<_> = latest.iter().map(|tick| tick.token.as_str()).collect();
        known.sort_unstable();
        known.dedup();
        let named = known
            .get(..KNOWN_NAMED_MAX.min(known.len()))
            .unwrap_or_default()
            .join(", ");
        let detail = match known.len() {
            0 => "there are no ticks yet".to_owned(),
            _ => format!("there are no ticks of `{token}`; there are of {named}; see /api/tokens"),
        };
        Problem::new(StatusCode::NOT_FOUND, detail)
    }
}

/// A failing read: the cause is for the log.
pub(super) fn unreadable(error: impl std::error::Error) -> Problem {
    tracing::error!(error = %error, "the store cannot be read");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the store cannot be read; the cause is in the log",
    )
}

fn json_text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Each pair with its latest price, by token.
pub(super) async fn tokens(State(api): Shared) -> Response {
    let mut latest = api.store.latest_ticks();
    latest.sort_unstable_by(|a, b| (&a.token, &a.quote).cmp(&(&b.token, &b.quote)));
    let tokens: Vec<_> = latest
        .iter()
        .map(|tick| {
            json!({
                "token": tick.token.as_str(),
                "symbol": aliases::symbol_of(tick.token.as_str()),
                "quote": tick.quote.as_str(),
                "quote_symbol": aliases::symbol_of(tick.quote.as_str()),
                "source": tick.source.as_str(),
                "price": tick.price,
                "timestamp": tick.timestamp_ms,
            })
        })
        .collect();
    Json(json!({ "tokens": tokens })).into_response()
}

/// Ticks of a token in the order of time; the latest where there are more than the limit.
pub(super) async fn ticks(
    State(api): Shared,
    Path(token): Path,
    Query(range): Query<Range>,
) -> Result<Response, Problem> {
    let token = api.token(&token);
    let found = api
        .store
        .ticks(&token, range.read()?)
        .await
        .map_err(unreadable)?;
    let mut found = found.ok_or_else(|| api.unknown(&token))?;
    if let Some(quote) = &range.quote {
        found.retain(|tick| tick.quote.as_str() == quote);
    }
    let ticks: Vec<_> = found.iter().map(TickJson).collect();
    let body = serde_json::to_string(&ticks).map_err(unreadable)?;
    Ok(json_text(format!("{{\"ticks\":{body}}}")))
}

/// The latest tick of a token.
pub(super) async fn latest(State(api): Shared, Path(token): Path) -> Result<Response, Problem> {
    let token = api.token(&token);
    let tick = api
        .store
        .latest_tick(&token)
        .ok_or_else(|| api.unknown(&token))?;
    Ok(Json(TickJson(&tick)).into_response())
}

/// Candles of a token, over all its quotes or one.
pub(super) async fn candles(
    State(api): Shared,
    Path(token): Path,
    Query(range): Query<Range>,
) -> Result<Response, Problem> {
    let interval: Interval = range
        .interval
        .as_deref()
        .unwrap_or("1m")
        .parse()
        .map_err(|error| bad(format!("{error}")))?;
    let token = api.token(&token);
    let found = api
        .store
        .candles(&token, interval, range.read()?)
        .await
        .map_err(unreadable)?;
    let mut found = found.ok_or_else(|| api.unknown(&token))?;
    if let Some(quote) = &range.quote {
        found.retain(|candle| candle.quote.as_str() == quote);
    }
    let candles: Vec<_> = found.iter().map(CandleJson::of).collect();
    Ok(Json(json!({ "candles": candles })).into_response())
}

/// Averages of a token as of the analysis' last step.
pub(super) async fn averages(
    State(api): Shared,
    Path(token): Path,
    Query(range): Query<Range>,
) -> Result<Response, Problem> {
    let token = api.token(&token);
    let found = api.store.averages(&token).await.map_err(unreadable)?;
    let mut found = found.ok_or_else(|| api.unknown(&token))?;
    if let Some(quote) = &range.quote {
        found.retain(|averages| averages.quote.as_str() == quote);
    }
    let rows: Vec<_> = found.iter().flat_map(AveragesJson::rows).collect();
    Ok(Json(json!({ "averages": rows })).into_response())
}

/// Anomalies, newest first.
pub(super) async fn anomalies(
    State(api): Shared,
    Query(range): Query<Range>,
) -> Result<Response, Problem> {
    let limit = params::limit(range.limit.as_deref())?;
    let token = range.token.as_deref().map(|token| api.token(token));
    let found = api
        .store
        .anomalies(token.as_deref(), limit)
        .await
        .map_err(unreadable)?;
    let rows: Vec<_> = found.iter().map(AnomalyJson::of).collect();
    Ok(Json(json!({ "anomalies": rows })).into_response())
}
