//! The read API, the live feed, and what operators may do: change the rollout, flush the archive, make a backup,
//! replay quarantined entries, read ticks back, rebuild candles, and compare store, stream and archive.

mod anomalies;
mod archive;
mod backup;
mod job_lines;
mod json_body;
mod market;
mod params;
mod quarantine;
mod read_error;
mod rebuild;
mod replay;
mod rollout;
mod status;
mod stream_replay;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use ::archive::Archive;
use app::flag_editor::FlagEditor;
use app::ingest::Ingest;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post, put};
use runtime::problem::Problem;
use serde::Deserialize;
use store::{Archiver, Backups, EmbeddedStore, LocalVerify, ProcessFile};
use tokio_util::sync::CancellationToken;

use crate::live::{self, Live, TokenFilter};
use crate::metrics::Metrics;
use crate::operator::Operator;
use crate::supervisor::Supervisor;

/// The state of the routes.
pub(crate) struct Api {
    pub(crate) store: EmbeddedStore,
    pub(crate) ingest: Ingest,
    pub(crate) control: FlagEditor,
    pub(crate) archive: Arc<Archive>,
    pub(crate) archiver: Arc<Archiver>,
    /// How often the archiver writes.
    pub(crate) archive_every: Duration,
    pub(crate) backups: Arc<Backups>,
    pub(crate) verify: LocalVerify,
    /// Held while the disk and its folders are looked at.
    pub(crate) disk_look: Arc<tokio::sync::Mutex<()>>,
    /// Held while a comparison runs.
    pub(crate) verifying: Arc<tokio::sync::Mutex<()>>,
    pub(crate) operator: Arc<Operator>,
    pub(crate) live: Live,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) supervisor: Supervisor,
    pub(crate) process: ProcessFile,
    /// Cancelled when the process is asked to stop: jobs that would hold it up end then.
    pub(crate) ending: CancellationToken,
    pub(crate) demo: bool,
    /// Whether the process was started with the stream off, which no change can override.
    pub(crate) turned_off: bool,
}

type Shared = State<Arc<Api>>;

/// The routes.
pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/api/tokens", get(market::tokens))
        .route("/api/ticks/{token}", get(market::ticks))
        .route("/api/ticks/{token}/latest", get(market::latest))
        .route("/api/candles/{token}", get(market::candles))
        .route("/api/averages/{token}", get(market::averages))
        .route("/api/anomalies", get(anomalies::list))
        .route("/api/anomalies/review", get(anomalies::review))
        .route("/api/anomalies/mark", put(anomalies::mark))
        .route("/api/anomalies/mute", put(anomalies::mute))
        .route("/api/rollout", get(rollout::show).put(rollout::change))
        .route("/api/ledger", get(status::ledger))
        .route("/api/quarantine", get(quarantine::list))
        .route("/api/quarantine/{id}", get(quarantine::show))
        .route("/api/quarantine/replay", post(quarantine::replay))
        .route("/api/status", get(status::status))
        .route("/api/rebuild", post(rebuild::run))
        .route("/api/replay/ticks", post(replay::ticks))
        .route("/api/replay/stream", post(stream_replay::run))
        .route("/api/archive/flush", post(archive::flush))
        .route("/api/backup", post(backup::make))
        .route("/api/verify", post(verify::run))
        .route("/api/proof", get(verify::last))
        .route("/healthz", get(status::health))
        .route("/metrics", get(status::metrics))
        .route("/ws", get(listen))
        .with_state(api)
}

/// The tokens that a reader of the feed wants.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listen {
    tokens: Option<String>,
}

impl params::Parameters for Listen {
    const NAMES: &'static [&'static str] = &["tokens"];
}

async fn listen(
    State(api): Shared,
    params::Query(wanted): params::Query<Listen>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|refused| {
        let detail = format!(
            "this is a WebSocket: connect to ws://HOST/ws with a WebSocket client ({})",
            refused.body_text()
        );
        Problem::new(refused.status(), detail)
    })?;
    let filter = match wanted.tokens.as_deref().map(str::trim) {
        None | Some("") => TokenFilter::All,
        Some(names) => {
            let named: std::collections::HashSet<_> = names.split(',').map(str::trim).collect();
            if named.len() > live::TOKENS_MAX {
                let detail = format!(
                    "name at most {} tokens, or omit `tokens` for all",
                    live::TOKENS_MAX
                );
                return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
            }
            let mut tokens = std::collections::HashSet::new();
            for name in named {
                tokens.insert(api.token(name).await?);
            }
            TokenFilter::Only(tokens)
        }
    };
    let live = api.live.clone();
    // Counted before the connection exists, so that many at once do not exceed the limit.
    let connection = live.track_connection().ok_or_else(|| {
        let detail = format!("there are already {} readers", live.readers_max());
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(5)
    })?;
    let upgrade = upgrade
        .max_frame_size(live::RECEIVED_BYTES_MAX)
        .max_message_size(live::RECEIVED_BYTES_MAX)
        .write_buffer_size(16 * 1_024);
    Ok(upgrade.on_upgrade(move |socket| async move {
        live.serve(socket, filter).await;
        drop(connection);
    }))
}

#[cfg(test)]
mod tests {
    /// The requests of this file's routes that are not for reading, such as `POST /api/backup`.
    fn requests() -> Vec<String> {
        let routes = include_str!("api.rs").split(".route(\"").skip(1);
        let routes = routes.filter_map(|rest| rest.split_once("\", "));
        let mut requests = Vec::new();
        for (path, rest) in routes {
            let handlers = rest.lines().next().unwrap_or_default();
            for (method, call) in [("POST", "post("), ("PUT", "put(")] {
                if handlers.contains(call) {
                    requests.push(format!("`{method} {path}`"));
                }
            }
        }
        requests
    }

    #[test]
    fn the_document_lists_what_only_operators_may_do() {
        let text = include_str!("../../../docs/api.md");
        let (_, section) = text.split_once("\n## Operators\n").unwrap();
        let (list, _) = section.split_once("need `Authorization").unwrap();
        let requests = requests();
        assert!(requests.len() >= 9, "{requests:?}");
        for request in requests {
            assert!(list.contains(&request), "{request}: {list}");
        }
    }
}
