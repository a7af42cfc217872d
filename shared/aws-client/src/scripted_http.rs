//! A fake HTTP client for the SDKs, for tests: a function returns the responses. Requests and
//! responses have the real formats, calls are recorded, and latency uses tokio's clock.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only for tests, which stop at the first surprise"
)]

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use tokio::time::Instant;

/// A recorded call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The operation, such as `PutRecords`.
    pub operation: String,
    /// The path and query of the address.
    pub path: String,
    /// The requested range of bytes, if any.
    pub range: Option<String>,
    /// The body as JSON; `null` if it is not JSON.
    pub body: Value,
    /// When it was sent.
    pub sent: Instant,
    /// When the response was returned, if it was.
    pub answered: Option<Instant>,
}

/// A response.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Status 200.
    Good(Value),
    /// An error: status and code.
    Refusal(u16, &'static str),
    /// An error with the service's own body: status and body.
    Refused(u16, Value),
    /// Status, `content-length`, and a body that is not JSON.
    Object(u16, usize, Vec<u8>),
    /// No response, ever.
    Silence,
}

type Respond = dyn Fn(usize, &Call) -> Answer + Send + Sync;

/// The fake HTTP client.
#[derive(Clone)]
pub struct Wire {
    calls: Arc<Mutex<Vec<Call>>>,
    latency: Duration,
    respond: Arc<Respond>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Wire {
    /// A client that responds to call number `n` (from 0) with `respond(n, call)`.
    pub fn new(respond: impl Fn(usize, &Call) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            calls: Arc::default(),
            latency: Duration::ZERO,
            respond: Arc::new(respond),
        }
    }

    /// Sets the time between request and response.
    pub fn with_latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// A configuration for any client, with the SDK's retries enabled as in production.
    pub fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("test", "test", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(self.clone())
            .build()
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        let call = Call {
            operation: target.rsplit('.').next().unwrap_or_default().to_owned(),
            path: request
                .uri()
                .split_once("amazonaws.com")
                .map_or("", |(_, path)| path)
                .to_owned(),
            range: request.headers().get("range").map(str::to_owned),
            body: serde_json::from_slice(body).unwrap_or_default(),
            sent: Instant::now(),
            answered: None,
        };
        let number = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(call.clone());
            calls.len() - 1
        };
        let wire = self.clone();
        HttpConnectorFuture::new(async move {
            let json = |status: u16, body: Value| {
                let body = body.to_string().into_bytes();
                (status, body.len(), body)
            };
            let (status, length, body) = match (wire.respond)(number, &call) {
                Answer::Good(body) => json(200, body),
                Answer::Refusal(status, code) => json(
                    status,
                    json!({"__type": code, "message": "the test says so"}),
                ),
                Answer::Refused(status, body) => json(status, body),
                Answer::Object(status, length, body) => (status, length, body),
                Answer::Silence => std::future::pending().await,
            };
            if !wire.latency.is_zero() {
                tokio::time::sleep(wire.latency).await;
            }
            wire.calls.lock().unwrap()[number].answered = Some(Instant::now());
            let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
            let headers = response.headers_mut();
            headers.insert("content-length", length.to_string());
            Ok(response)
        })
    }
}
