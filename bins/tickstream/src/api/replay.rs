//! `POST /api/replay/ticks`: the ticks that were received in a range, for a replay elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use app::read_back::{Page, ReceiptRange, StoredTick, StoredTicks as _};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use domain::Token;
use futures_util::StreamExt as _;
use runtime::problem::Problem;
use serde::Deserialize;
use serde_json::json;

use super::job_lines::{HungUp, JobLines};
use super::params::{NoParameters, Query, check_range};
use super::{Api, Shared, json_body};

/// The most ticks of a line.
const LINE_TICKS_MAX: usize = 1_000;

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Epoch milliseconds, inclusive.
    from: i64,
    /// Epoch milliseconds, exclusive.
    to: i64,
    /// As they are stored; none means all.
    #[serde(default)]
    tokens: BTreeSet<Token>,
}

/// Sends the ticks as the caller reads them, as of the moment at which it begins.
pub(super) async fn ticks(
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
        "from and to (epoch milliseconds), and tokens",
    )
    .await?;
    check_range(wanted.from, wanted.to)?;
    let (lines, response) = JobLines::new();
    tokio::spawn(async move { drop(send(&api, wanted, &lines).await) });
    Ok(response)
}

async fn send(api: &Arc<Api>, wanted: Wanted, lines: &JobLines) -> Result<(), HungUp> {
    let range = ReceiptRange {
        from_ms: wanted.from,
        to_ms: wanted.to,
    };
    let tokens = wanted.tokens;
    let mut pages = api.store.stored(range);
    let mut sent = 0_u64;
    while let Some(page) = pages.next().await {
        match page {
            Ok(Page::Ticks(mut rows)) => {
                rows.retain(|row| tokens.is_empty() || tokens.contains(&row.tick.token));
                for rows in rows.chunks(LINE_TICKS_MAX) {
                    lines.progress(&line(rows)).await?;
                    sent += rows.len() as u64;
                }
            }
            Ok(Page::Unseen(unseen)) => {
                let line = json!({ "unseen": unseen.what }).to_string();
                lines.progress(line.as_bytes()).await?;
            }
            Err(error) => {
                tracing::error!(error = %error, cause = %error.source, "the store cannot be read back");
                return lines
                    .error("the store cannot be read; the cause is in the log")
                    .await;
            }
        }
    }
    lines.result(&json!({ "ticks": sent })).await
}

fn line(rows: &[StoredTick]) -> Vec<u8> {
    let mut line = b"{\"ticks\":[".to_vec();
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            line.push(b',');
        }
        codec::json::write_json(&row.tick, &mut line);
    }
    let decided: Vec<Option<bool>> = rows.iter().map(|row| row.in_cohort).collect();
    line.extend_from_slice(b"],\"in_cohort\":");
    line.extend_from_slice(json!(decided).to_string().as_bytes());
    line.push(b'}');
    line
}
