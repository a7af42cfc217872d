//! The read API, the live feed, and what operators may change: the rollout and the archive's flush.

mod archive;
mod market;
mod params;
mod rollout;
mod status;

use std::sync::Arc;

use app::flag_editor::FlagEditor;
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post};
use runtime::problem::Problem;
use serde::Deserialize;
use store::{Archiver, EmbeddedStore};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use webhook::Webhook;

use crate::live::{self, Live, TokenFilter};
use crate::metrics::Metrics;
use crate::supervisor::Supervisor;

/// The state of the routes.
pub(crate) struct Api {
    pub(crate) store: EmbeddedStore,
    pub(crate) control: FlagEditor,
    pub(crate) archiver: Arc<Archiver>,
    pub(crate) webhook: Arc<Webhook>,
    pub(crate) live: Live,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) supervisor: Supervisor,
    pub(crate) started_at_ms: i64,
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
        .route("/api/anomalies", get(market::anomalies))
        .route("/api/rollout", get(rollout::show).put(rollout::change))
        .route("/api/ledger", get(status::ledger))
        .route("/api/quarantine", get(status::quarantine))
        .route("/api/status", get(status::status))
        .route("/api/archive/flush", post(archive::flush))
        .route("/healthz", get(status::health))
        .route("/metrics", get(status::metrics))
        .route("/ws", get(listen))
        .with_state(api)
}

/// Wraps all routes: unknown paths and panics get the common form of errors, pages of other origins are
/// refused, and browsers do not guess content types.
pub(crate) fn guard(router: Router) -> Router {
    let nosniff = SetResponseHeaderLayer::overriding(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    router
        .fallback(async || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "there is nothing here; the API is under /api, and deliveries go to /webhooks/{source}",
            )
        })
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path does not accept that method",
            )
        })
        .layer(axum::middleware::from_fn(same_origin))
        .layer(nosniff)
        .layer(CatchPanicLayer::custom(|_| {
            use axum::response::IntoResponse;
            tracing::error!("a request ended with a panic");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "an internal error; it is in the log",
            )
            .into_response()
        }))
}

/// Browsers send the origin of the requesting page: a page of another host must not read the feed or
/// change the rollout on the visitor's behalf.
async fn same_origin(request: Request, next: Next) -> Result<Response, Problem> {
    let headers = request.headers();
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    if let Some(origin) = text(header::ORIGIN) {
        let host = origin.split_once("://").map_or(origin, |(_, host)| host);
        if text(header::HOST) != Some(host) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "requests from pages of other origins are refused",
            ));
        }
    }
    Ok(next.run(request).await)
}

impl Api {
    /// A request that changes something needs a secret, if the server has secrets.
    fn check_operator(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let secrets = self.webhook.secrets();
        if secrets.is_empty() || secrets.is_operator(headers.get(header::AUTHORIZATION)) {
            return Ok(());
        }
        let detail = if secrets.has_operator() {
            "send a plain or `whsec_` secret of WEBHOOK_SECRETS as `Authorization: Bearer SECRET`"
        } else {
            "an operator needs a secret, and a public key (`whpk_`) is not one: add a plain or \
             `whsec_` secret to WEBHOOK_SECRETS, and send it as `Authorization: Bearer SECRET`"
        };
        Err(Problem::new(StatusCode::UNAUTHORIZED, detail).with_code("unauthorized"))
    }
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
    if api.live.readers() >= live::READERS_MAX {
        let detail = format!("there are already {} readers", live::READERS_MAX);
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(5));
    }
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
    let connection = live.track_connection();
    let upgrade = upgrade
        .max_message_size(16 * 1_024)
        .write_buffer_size(16 * 1_024);
    Ok(upgrade.on_upgrade(move |socket| async move {
        live.serve(socket, filter).await;
        drop(connection);
    }))
}
