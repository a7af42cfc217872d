//! `POST /api/query`: SQL over the archive, read only.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use local::sql::SqlError;
use runtime::problem::Problem;
use serde::Deserialize;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::params::{Nothing, Query, bad};
use super::{Api, QUERY_ANSWER_WITHIN, Shared};

/// Queries that run at once; further ones wait their turn.
const QUERIES_AT_ONCE: usize = 2;

/// How often a query may have the archive written first, so that somebody who asks every second
/// does not fill the archive with small files.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// A question, as callers write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    sql: String,
}

/// What is remembered between queries.
pub(crate) struct Asked {
    turns: Semaphore,
    flushed_at: Mutex<Option<Instant>>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(QUERIES_AT_ONCE),
            flushed_at: Mutex::default(),
        }
    }
}

/// Answers a query. What came in until a few seconds ago is in the answer.
pub(super) async fn query(
    State(api): Shared,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    api.check_operator(&headers)?;
    let question: Question = serde_json::from_slice(&body)
        .map_err(|error| bad(format!("send {{\"sql\": \"SELECT …\"}}: {error}")))?;
    let asked = tokio::time::timeout(QUERY_ANSWER_WITHIN, async {
        let _turn = api.asked.turns.acquire().await;
        api.freshen().await;
        api.sql.query(&question.sql).await
    });
    match asked.await {
        Ok(Ok(answer)) => {
            let body = answer.to_json().map_err(|error| refused(&error))?;
            Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
        }
        Ok(Err(error)) => Err(refused(&error)),
        Err(_) => Err(Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "the query waited and ran too long",
        )),
    }
}

impl Api {
    async fn freshen(&self) {
        let mut flushed_at = self.asked.flushed_at.lock().await;
        let due = flushed_at.is_none_or(|at| at.elapsed() >= FLUSH_EVERY);
        if !due || self.archiver.lag_ticks().unwrap_or(0) == 0 {
            return;
        }
        if let Err(error) = self.archiver.flush().await {
            tracing::error!(error = %error, "the archive cannot be written; the query reads what is there");
        }
        *flushed_at = Some(Instant::now());
    }
}

fn refused(error: &SqlError) -> Problem {
    let ours = matches!(
        error,
        SqlError::Unreadable { .. }
            | SqlError::UnreadableSomewhere { .. }
            | SqlError::Engine { .. }
            | SqlError::NoArchive { .. }
    );
    let status = if matches!(error, SqlError::Timeout { .. }) {
        StatusCode::GATEWAY_TIMEOUT
    } else if ours {
        tracing::error!(error = %error, "the archive cannot be read");
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::BAD_REQUEST
    };
    Problem::new(status, error.to_string()).because("query")
}
