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
mod permission;
mod upstream;

pub use answers::Protocol;
pub use limits::Limits;
pub use parts::{Choice, NotPartiallyRefusable};
pub use permission::Permission;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::emulator::Emulator;
use metered::Meter;
use upstream::{BODY_BYTES_MAX, Upstream};

/// The loopback address.
const LOOPBACK: &str = "127.0.0.1";

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
    needed: BTreeSet<Permission>,
    meter: Option<Arc<Meter>>,
}

struct Shared {
    upstream: Upstream,
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
        let shared = Arc::new(Shared {
            upstream: Upstream::new(emulator.endpoint())?,
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

    /// What IAM would have to allow for the calls so far.
    #[must_use]
    pub fn permissions(&self) -> BTreeSet<Permission> {
        self.shared.control().needed.clone()
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
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response(),
    };
    let (protocol, operation) = answers::operation(&parts, &body);
    let needed = permission::needed(&protocol, &operation, &parts, &body);
    shared.control().needed.extend(needed);
    match shared.fault(&operation) {
        None => {
            let meter = shared.control().meter.clone();
            match meter {
                Some(meter) => {
                    let call = (&protocol, operation.as_str());
                    let (answer, limited) =
                        meter.forward(&shared.upstream, call, &parts, body).await;
                    if limited {
                        shared.count_limited(&operation);
                    }
                    answer
                }
                None => shared.upstream.forward(&parts, body).await,
            }
        }
        Some(Fault::Throttled) => answers::throttled(&protocol),
        Some(Fault::InternalError) => answers::internal_error(&protocol),
        Some(Fault::Unavailable) => answers::unavailable(&protocol),
        Some(Fault::LostAnswer) => {
            let answer = shared.upstream.forward(&parts, body).await;
            if answer.status().is_success() {
                answers::internal_error(&protocol)
            } else {
                answer
            }
        }
        Some(Fault::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            shared.upstream.forward(&parts, body).await
        }
        Some(Fault::Refused(choice)) => {
            let refuses =
                |position, entry: &Value, _: Option<&str>| choice.refuses(position, entry);
            match parts::split(&operation, &body, refuses) {
                Ok(split) => shared.upstream.forward_split(&split, &parts).await,
                // Not a valid request of the operation: the service reports that itself.
                Err(_) => shared.upstream.forward(&parts, body).await,
            }
        }
    }
}
