//! Tokens, ticks, candles and averages.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use codec::json::TickJson;
use domain::aliases;
use domain::analytics::{Interval, SeriesKind};
use runtime::problem::Problem;
use serde_json::json;
use store::CandleFilter;

use super::params::{self, Now, Path, Query, bad};
use super::read_error::unreadable;
use super::{Api, Shared};
use app::live::{AveragesJson, CandleJson};

/// The most known tokens or quotes that an error for an unknown one names.
const KNOWN_NAMED_MAX: usize = 10;

impl Api {
    /// The error for an unknown token or quote, which names some known ones.
    pub(super) async fn unknown(&self, token: &str, quote: Option<&str>) -> Problem {
        let known = async {
            let some = self.store.latest_page(None, KNOWN_NAMED_MAX).await?.0;
            Ok::<_, store::StorageError>((some, self.store.latest_of(token, None).await?))
        };
        let (some, of_token) = match known.await {
            Ok(known) => known,
            Err(error) => return unreadable(error),
        };
        let quotes = named(of_token.iter().map(|tick| tick.quote.as_str()));
        let tokens = named(some.iter().map(|tick| tick.token.as_str()));
        let detail = match (tokens.as_str(), quotes.as_str(), quote) {
            ("", ..) => "there are no ticks yet".to_owned(),
            (_, "", _) | (_, _, None) => {
                format!(
                    "there are no ticks of `{token}`, but there are ticks of {tokens}; see /api/tokens"
                )
            }
            (_, quotes, Some(quote)) => {
                format!(
                    "there are no ticks of `{token}` in `{quote}`, but there are ticks in {quotes}"
                )
            }
        };
        Problem::new(StatusCode::NOT_FOUND, detail)
    }
}

/// Some names, without duplicates, in order.
fn named<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(KNOWN_NAMED_MAX);
    names.join(", ")
}

fn json_text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A page of pairs, each with its latest price, by token and quote; or the pairs of one token.
pub(super) async fn tokens(
    State(api): Shared,
    Query(asked): Query<params::Tokens>,
) -> Result<Response, Problem> {
    let (latest, next) = match &asked.token {
        Some(token) => {
            let token = api.token(token).await?;
            let latest = api.store.latest_of(&token, None).await;
            (latest.map_err(unreadable)?, None)
        }
        None => {
            let (limit, after) = (asked.limit()?, asked.after()?);
            let page = api.store.latest_page(after.as_ref(), limit).await;
            page.map_err(unreadable)?
        }
    };
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
    let next = next.map(|pair| pair.to_string());
    Ok(Json(json!({ "tokens": tokens, "next": next })).into_response())
}

/// Ticks of a token, over all its quotes or one, in the order of time; the latest if there are
/// more than the limit.
pub(super) async fn ticks(
    State(api): Shared,
    Path(token): Path,
    Query(asked): Query<params::Ticks>,
) -> Result<Response, Problem> {
    let token = api.token(&token).await?;
    let quote = api.quote(&token, asked.quote.as_deref()).await?;
    let found = api
        .store
        .ticks(&token, quote.as_deref(), asked.range()?)
        .await
        .map_err(unreadable)?;
    let Some(found) = found else {
        return Err(api.unknown(&token, quote.as_deref()).await);
    };
    let ticks: Vec<_> = found.iter().map(TickJson).collect();
    let body = serde_json::to_string(&ticks).map_err(unreadable)?;
    Ok(json_text(format!("{{\"ticks\":{body}}}")))
}

/// The latest tick of a token, over all its quotes or in one.
pub(super) async fn latest(
    State(api): Shared,
    Path(token): Path,
    Query(asked): Query<Now>,
) -> Result<Response, Problem> {
    let token = api.token(&token).await?;
    let quote = api.quote(&token, asked.quote.as_deref()).await?;
    let latest = api.store.latest_tick(&token, quote.as_deref()).await;
    let Some(tick) = latest.map_err(unreadable)? else {
        return Err(api.unknown(&token, quote.as_deref()).await);
    };
    Ok(Json(TickJson(&tick)).into_response())
}

/// Candles of a token, over all its quotes or one: of trades or of quotes, over all venues or one.
pub(super) async fn candles(
    State(api): Shared,
    Path(token): Path,
    Query(asked): Query<params::Candles>,
) -> Result<Response, Problem> {
    let interval: Interval = asked
        .interval
        .as_deref()
        .unwrap_or("1m")
        .parse()
        .map_err(|error| bad(format!("{error}")))?;
    let token = api.token(&token).await?;
    let quote = api.quote(&token, asked.quote.as_deref()).await?;
    let (filter, range) = (asked.filter()?, asked.range()?);
    // By default those of trades; if there are none, those of quotes.
    let kinds = match filter.series {
        Some(series) => vec![series],
        None => SeriesKind::ALL.to_vec(),
    };
    for series in kinds {
        let wanted = CandleFilter {
            series: Some(series),
            ..filter.clone()
        };
        let found = api
            .store
            .candles_of(&wanted, &token, quote.as_deref(), interval, range);
        let Some(found) = found.await.map_err(unreadable)? else {
            return Err(api.unknown(&token, quote.as_deref()).await);
        };
        let source = wanted.source.as_deref();
        let rows = found
            .iter()
            .filter_map(|it| CandleJson::of(it, series, source));
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            return Ok(Json(json!({ "candles": rows })).into_response());
        }
    }
    Ok(Json(json!({ "candles": [] })).into_response())
}

/// Averages of a token, over all its quotes or one, as of the analysis' last step.
pub(super) async fn averages(
    State(api): Shared,
    Path(token): Path,
    Query(asked): Query<Now>,
) -> Result<Response, Problem> {
    let token = api.token(&token).await?;
    let quote = api.quote(&token, asked.quote.as_deref()).await?;
    let found = api
        .store
        .averages(&token, quote.as_deref())
        .await
        .map_err(unreadable)?;
    let Some(found) = found else {
        return Err(api.unknown(&token, quote.as_deref()).await);
    };
    let rows: Vec<_> = found.iter().flat_map(AveragesJson::rows).collect();
    Ok(Json(json!({ "averages": rows })).into_response())
}
