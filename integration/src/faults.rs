//! Faults between a client and the emulator: a small HTTP proxy that injects faults into selected
//! operations, can be changed while it runs, and forwards everything else unchanged.
//!
//! Set [`url_for_functions`](FaultyEndpoint::url_for_functions) as `AWS_ENDPOINT_URL_KINESIS`,
//! `AWS_ENDPOINT_URL_DYNAMODB`, … of a function, or [`url`](FaultyEndpoint::url) as the endpoint of
//! an SDK client. An operation is identified by `x-amz-target` (DynamoDB, Kinesis, SQS, SSM), by
//! the form's `Action` (SNS, CloudFormation), by the path (CBOR protocols), or else by the HTTP
//! method (S3). WebSockets are not forwarded.

mod answers;
mod limits;
mod metered;
mod parts;

pub use answers::Protocol;
pub use limits::Limits;
pub use parts::{Choice, NotPartiallyRefusable};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::emulator::Emulator;
use metered::Meter;
use parts::Split;

/// The largest body that is forwarded (our largest request is PutRecords with 10 MiB).
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The loopback address.
const LOOPBACK: &str = "127.0.0.1";

/// Hop-by-hop headers, which are not forwarded; the length is computed again.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Throttled, with the service's own error code.
    Throttled,
    /// 500, without effect.
    InternalError,
    /// 503, without effect: the service is down.
    Unavailable,
    /// The call takes effect, but the response is a 500.
    LostAnswer,
    /// The call takes effect after this time.
    Slow(Duration),
    /// Some entries of the batch are refused, the others are forwarded: PutRecords, BatchWriteItem,
    /// SendMessageBatch.
    Refused(Choice),
}

/// How long a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Until it is removed.
    Always,
    /// For this many calls.
    Next(u32),
}

#[derive(Debug)]
struct Rule {
    id: RuleId,
    operation: Option<String>,
    fault: Fault,
    times: Times,
}

/// Identifies a rule, to remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(u64);

/// How often an operation was called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// All calls.
    pub seen: u64,
    /// Calls with a fault, or of which the limits refused something.
    pub with_fault: u64,
}

#[derive(Debug, Default)]
struct Control {
    next_id: u64,
    rules: Vec<Rule>,
    calls: BTreeMap<String, Calls>,
    meter: Option<Arc<Meter>>,
}

struct Shared {
    upstream: String,
    client: reqwest::Client,
    control: Mutex<Control>,
}

/// The proxy, which stops when it is dropped.
pub struct FaultyEndpoint {
    url: String,
    url_for_functions: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl FaultyEndpoint {
    /// Starts a proxy in front of the emulator.
    ///
    /// # Errors
    ///
    /// No port can be opened.
    pub async fn start(emulator: &Emulator) -> anyhow::Result<Self> {
        let host = emulator.host_for_functions();
        // Functions in a container do not connect through the loopback interface.
        let interface = if host == LOOPBACK {
            LOOPBACK
        } else {
            "0.0.0.0"
        };
        let listener = TcpListener::bind((interface, 0))
            .await
            .context("the faulty endpoint cannot open a port")?;
        let port = listener.local_addr()?.port();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let shared = Arc::new(Shared {
            upstream: emulator.endpoint().to_owned(),
            client,
            control: Mutex::default(),
        });
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the faulty endpoint ended");
            }
        });
        Ok(Self {
            url: format!("http://{LOOPBACK}:{port}"),
            url_for_functions: format!("http://{host}:{port}"),
            shared,
            server,
        })
    }

    /// Its address on this machine.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its address for functions in the emulator.
    #[must_use]
    pub fn url_for_functions(&self) -> &str {
        &self.url_for_functions
    }

    /// Injects a fault into an operation from now on: `PutRecords`, or
    /// `Kinesis_20131202.PutRecords` as in `x-amz-target`. The oldest matching rule wins.
    ///
    /// # Errors
    ///
    /// [`Fault::Refused`] for an operation that is not a batch.
    pub fn fail(
        &self,
        operation: &str,
        fault: Fault,
        times: Times,
    ) -> Result<RuleId, NotPartiallyRefusable> {
        let operation = operation.rsplit('.').next().unwrap_or(operation);
        if let Fault::Refused(choice) = &fault {
            parts::check(operation, choice)?;
        }
        Ok(self.add(Some(operation.to_owned()), fault, times))
    }

    /// Makes all services unavailable from now on.
    pub fn take_down(&self) -> RuleId {
        self.add(None, Fault::Unavailable, Times::Always)
    }

    /// Allows only so much a second from now on, beside the rules: what is more is refused as DynamoDB and Kinesis do.
    pub fn limit(&self, limits: Limits) {
        self.shared.control().meter = Some(Arc::new(Meter::new(limits)));
    }

    /// Removes a rule.
    pub fn remove(&self, id: RuleId) {
        self.shared.control().rules.retain(|rule| rule.id != id);
    }

    /// Removes all rules and limits, so everything is forwarded.
    pub fn heal(&self) {
        let mut control = self.shared.control();
        control.rules.clear();
        control.meter = None;
    }

    /// How often an operation was called.
    #[must_use]
    pub fn calls(&self, operation: &str) -> Calls {
        let control = self.shared.control();
        control.calls.get(operation).copied().unwrap_or_default()
    }

    fn add(&self, operation: Option<String>, fault: Fault, times: Times) -> RuleId {
        let mut control = self.shared.control();
        control.next_id += 1;
        let id = RuleId(control.next_id);
        control.rules.push(Rule {
            id,
            operation,
            fault,
            times,
        });
        id
    }
}

impl Drop for FaultyEndpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the call, and returns the fault of the first matching rule.
    fn fault(&self, operation: &str) -> Option<Fault> {
        let mut control = self.control();
        let rule = control.rules.iter_mut().find(|rule| {
            rule.times != Times::Next(0)
                && rule
                    .operation
                    .as_deref()
                    .is_none_or(|name| name == operation)
        });
        let fault = rule.map(|rule| {
            if let Times::Next(left) = &mut rule.times {
                *left -= 1;
            }
            rule.fault.clone()
        });
        let calls = control.calls.entry(operation.to_owned()).or_default();
        calls.seen += 1;
        calls.with_fault += u64::from(fault.is_some());
        fault
    }

    /// Counts a call of which the limits refused something.
    fn count_limited(&self, operation: &str) {
        let mut control = self.control();
        let calls = control.calls.entry(operation.to_owned()).or_default();
        calls.with_fault += 1;
    }

    async fn forward(&self, parts: &request::Parts, body: Bytes) -> Response {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let sent = self
            .client
            .request(parts.method.clone(), format!("{}{path}", self.upstream))
            .headers(without_hop_by_hop(&parts.headers))
            .body(body)
            .send()
            .await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => return answers::bad_gateway(&error),
        };
        let (status, headers) = (answer.status(), without_hop_by_hop(answer.headers()));
        match answer.bytes().await {
            Ok(body) => (status, headers, body).into_response(),
            Err(error) => answers::bad_gateway(&error),
        }
    }

    /// Forwards the entries that are not refused, and adds the refused ones to the response.
    async fn forward_split(&self, split: &Split, parts: &request::Parts) -> Response {
        let Some(through) = split.through.as_ref() else {
            return split.answer_without_service(&parts.headers);
        };
        let answer = self.forward(parts, Bytes::from(through.to_string())).await;
        if !answer.status().is_success() {
            return answer;
        }
        let (mut head, body) = answer.into_parts();
        let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
            return StatusCode::BAD_GATEWAY.into_response();
        };
        // DynamoDB's checksum is that of the original body.
        head.headers.remove(HeaderName::from_static("x-amz-crc32"));
        head.headers.remove(header::CONTENT_LENGTH);
        match split.merge(&body) {
            Ok(merged) => Response::from_parts(head, Body::from(merged)),
            Err(error) => answers::bad_gateway(&error),
        }
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response(),
    };
    let (protocol, operation) = answers::operation(&parts, &body);
    match shared.fault(&operation) {
        None => {
            let meter = shared.control().meter.clone();
            match meter {
                Some(meter) => {
                    let call = (&protocol, operation.as_str());
                    meter.forward(&shared, call, &parts, body).await
                }
                None => shared.forward(&parts, body).await,
            }
        }
        Some(Fault::Throttled) => answers::throttled(&protocol),
        Some(Fault::InternalError) => answers::internal_error(&protocol),
        Some(Fault::Unavailable) => answers::unavailable(&protocol),
        Some(Fault::LostAnswer) => {
            let answer = shared.forward(&parts, body).await;
            if answer.status().is_success() {
                answers::internal_error(&protocol)
            } else {
                answer
            }
        }
        Some(Fault::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            shared.forward(&parts, body).await
        }
        Some(Fault::Refused(choice)) => {
            let refuses =
                |position, entry: &Value, _: Option<&str>| choice.refuses(position, entry);
            match parts::split(&operation, &body, refuses) {
                Ok(split) => shared.forward_split(&split, &parts).await,
                // Not a valid request of the operation: the service reports that itself.
                Err(_) => shared.forward(&parts, body).await,
            }
        }
    }
}

fn without_hop_by_hop(headers: &HeaderMap) -> HeaderMap<HeaderValue> {
    let mut headers = headers.clone();
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers
}
