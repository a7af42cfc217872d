//! A stub of the webhook: it stores ids in memory, and fails as scripted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

/// How the server handles the next requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Script {
    /// This many requests get a 503 first.
    pub(crate) unavailable: u32,
    /// Every request gets this status.
    pub(crate) status: Option<u16>,
    /// The required `Authorization`.
    pub(crate) secret: Option<&'static str>,
    /// The delay of every response.
    pub(crate) delay: Duration,
    /// The entry at this position in each delivery is rejected.
    pub(crate) reject: Option<usize>,
    /// After this many good deliveries, every request gets a 503.
    pub(crate) deliveries_max: Option<usize>,
}

/// A request that got a 200.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) source: String,
    pub(crate) body: Value,
    /// The body as received, with the literal digits of numbers.
    pub(crate) text: String,
}

#[derive(Debug, Default)]
struct StubState {
    script: Script,
    deliveries: Vec<Delivery>,
    ids: BTreeSet<String>,
    requests: u32,
}

/// A running server; it ends with the test's process.
#[derive(Debug, Clone)]
pub(crate) struct Stub {
    pub(crate) url: String,
    state: Arc<Mutex<StubState>>,
}

impl Stub {
    pub(crate) fn start(script: Script) -> Self {
        let state = Arc::new(Mutex::new(StubState {
            script,
            ..StubState::default()
        }));
        let router = Router::new()
            .route("/webhooks/{source}", post(answer))
            .with_state(Arc::clone(&state));
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        Self {
            url: format!("http://{}", receiver.recv().unwrap()),
            state,
        }
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.state.lock().unwrap().deliveries.clone()
    }

    /// The number of requests with any outcome.
    pub(crate) fn requests(&self) -> u32 {
        self.state.lock().unwrap().requests
    }

    /// Every entry of every delivery, in order of arrival.
    pub(crate) fn entries(&self) -> Vec<Value> {
        self.deliveries()
            .iter()
            .flat_map(|delivery| entries(&delivery.body).clone())
            .collect()
    }

    pub(crate) fn set(&self, script: Script) {
        self.state.lock().unwrap().script = script;
    }
}

fn entries(body: &Value) -> &Vec<Value> {
    body.as_array().or_else(|| body["data"].as_array()).unwrap()
}

async fn answer(
    State(state): State<Arc<Mutex<StubState>>>,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let delay = state.lock().unwrap().script.delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let mut state = state.lock().unwrap();
    state.requests += 1;
    let script = state.script;
    if let Some(status) = script.status {
        return problem(status, "as the script says");
    }
    if script.secret.is_some_and(|secret| {
        headers
            .get(header::AUTHORIZATION)
            .is_none_or(|seen| seen != secret)
    }) {
        return problem(401, "no secret matches the Authorization header");
    }
    if state.requests <= script.unavailable
        || script
            .deliveries_max
            .is_some_and(|max| state.deliveries.len() >= max)
    {
        return problem(503, "the store is busy");
    }
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    let text = String::from_utf8(body.to_vec()).unwrap();
    let body: Value = serde_json::from_str(&text).unwrap();
    let received = entries(&body).len();
    let mut stored = 0;
    let mut errors = Vec::new();
    for (index, entry) in entries(&body).iter().enumerate() {
        if script.reject == Some(index) {
            let error = json!({"index": index, "reason": "invalid_price", "message": "no such price", "severity": "error"});
            errors.push(error);
            continue;
        }
        let id = ["id", "t", "trade_id"]
            .iter()
            .find_map(|name| entry.get(*name));
        let id = id.map_or_else(|| entry.to_string(), Value::to_string);
        stored += usize::from(state.ids.insert(format!("{source} {id}")));
    }
    let duplicate = received - errors.len() - stored;
    let answer = json!({
        "received": received, "stored": stored, "duplicate": duplicate, "rejected": errors.len(),
        "ignored": 0, "in_cohort": stored, "streamed": stored, "redriven": 0, "errors": errors,
    });
    state.deliveries.push(Delivery { source, body, text });
    axum::Json(answer).into_response()
}

fn problem(status: u16, detail: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let body = json!({"type": "about:blank", "title": status.canonical_reason(), "status": status.as_u16(), "detail": detail});
    (
        status,
        [(header::CONTENT_TYPE, "application/problem+json")],
        body.to_string(),
    )
        .into_response()
}
