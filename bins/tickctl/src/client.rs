//! The HTTP client of all subcommands that send: HTTP/1.1 with kept-alive connections, TLS for
//! https. It uses hyper directly, which halves the overhead per request under load.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use serde::Deserialize;

use crate::target::{AddressFrom, Target};

/// The most bytes of a response that are read (8 MiB), enough for thousands of entry errors.
const ANSWER_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// The most characters of a server's error text that are shown.
const DETAIL_CHARS_MAX: usize = 400;

/// How long an idle connection is kept: shorter than on servers and load balancers (commonly 60 s),
/// so they do not close one that we are about to use.
const IDLE_SECONDS_MAX: u64 = 30;

pub(crate) const USER_AGENT_TEXT: &str = concat!("tickctl/", env!("CARGO_PKG_VERSION"));

/// One webhook of a tickstream.
#[derive(Debug, Clone)]
pub struct Webhook {
    transport: Transport,
    uri: Uri,
    address: AddressFrom,
    secret: Option<HeaderValue>,
    timeout: Duration,
}

/// The webhook's response to a stored delivery.
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    /// Entries in the delivery.
    pub received: u64,
    /// Ticks that are new.
    pub stored: u64,
    /// Ticks that were already stored.
    #[serde(default)]
    pub duplicate: u64,
    /// Malformed entries; they are in the quarantine.
    #[serde(default)]
    pub rejected: u64,
    /// Entries that are not prices.
    #[serde(default)]
    pub ignored: u64,
    /// The errors of rejected entries.
    #[serde(default)]
    pub errors: Vec<EntryError>,
}

/// Why one entry of a delivery was rejected.
#[derive(Debug, Clone, Deserialize)]
pub struct EntryError {
    /// The entry's position in the delivery, from 0.
    pub index: usize,
    /// The code of the reason.
    #[serde(default)]
    pub reason: String,
    /// The reason in words.
    #[serde(default)]
    pub message: String,
}

/// Why a delivery was not confirmed as stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PostError {
    /// Another status than 200.
    #[error("the server responded with {status}{}{detail}", if detail.is_empty() { "" } else { ": \
        " })]
    Status {
        /// The status.
        status: StatusCode,
        /// The server's explanation; may be empty.
        detail: String,
        /// The server's code of the reason; may be empty.
        reason: String,
        /// How long the server asks us to wait.
        retry_after: Option<Duration>,
    },
    /// No response in time.
    #[error("no response within {} s", .0.as_secs())]
    Timeout(Duration),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection broke before the response was complete.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// Status 200, but not the response of a webhook.
    #[error("the response is not from a tickstream ({why}): {address}")]
    Unreadable {
        /// Why it cannot be read.
        why: String,
        /// Where the address is from.
        address: AddressFrom,
    },
    /// A line of the response is longer than is read, in MiB.
    #[error(
        "a line of the response is longer than {0} MiB, the most that is read: choose a shorter range or fewer tokens"
    )]
    LongLine(usize),
    /// The server ended a job that it had begun.
    #[error("the server could not do it: {0}")]
    Failed(String),
}

impl PostError {
    /// Whether a retry of the delivery may succeed. A retry is safe: its ticks have the same ids.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                status.is_server_error()
                    || *status == StatusCode::TOO_MANY_REQUESTS
                    || *status == StatusCode::REQUEST_TIMEOUT
            }
            Self::Timeout(_) | Self::Connect(_) | Self::Broken(_) => true,
            Self::Unreadable { .. } | Self::LongLine(_) | Self::Failed(_) => false,
        }
    }

    /// Whether nothing is known of what was asked: nobody answered, or the caller may not see it.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status == StatusCode::UNAUTHORIZED,
            Self::Timeout(_) | Self::Connect(_) | Self::Broken(_) => true,
            Self::Unreadable { .. } | Self::LongLine(_) | Self::Failed(_) => false,
        }
    }

    /// How long the server asks us to wait, if it does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Timeout(_)
            | Self::Connect(_)
            | Self::Broken(_)
            | Self::Unreadable { .. }
            | Self::LongLine(_)
            | Self::Failed(_) => None,
        }
    }

    /// A short name for counting: the status, or what failed.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Status { status, .. } => status.as_str().to_owned(),
            Self::Timeout(_) => "timeout".to_owned(),
            Self::Connect(_) => "connect".to_owned(),
            Self::Broken(_) => "broken_connection".to_owned(),
            Self::Unreadable { .. } => "unreadable_answer".to_owned(),
            Self::LongLine(_) => "long_line".to_owned(),
            Self::Failed(_) => "failed".to_owned(),
        }
    }

    /// Why a request got no response.
    pub(crate) fn unsent(error: hyper_util::client::legacy::Error) -> Self {
        let text = innermost_cause(&error);
        if error.is_connect() {
            Self::Connect(text)
        } else {
            Self::Broken(text)
        }
    }
}

impl Webhook {
    /// Prepares deliveries to `POST {to}/webhooks/{source}` over about `connections` kept-alive
    /// connections. Nothing is sent yet.
    ///
    /// # Errors
    /// If the secret is refused, or the machine has no root certificates for an https address.
    pub fn new(target: &Target, source: &str, connections: usize) -> anyhow::Result<Self> {
        let base = target.to.to_string();
        let uri: Uri = format!("{}/webhooks/{source}", base.trim_end_matches('/'))
            .parse()
            .with_context(|| format!("{base} with /webhooks/{source} is not a valid address"))?;
        let transport = Transport::new(&uri, connections)?;
        let secret = target.authorization()?;
        Ok(Self {
            transport,
            uri,
            address: AddressFrom::Option(target.option),
            secret,
            timeout: Duration::from_secs(target.timeout),
        })
    }

    /// The address of deliveries.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// How long [`Webhook::post`] waits.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends one delivery once, and waits for the complete response.
    ///
    /// # Errors
    /// [`PostError`] for anything except a readable 200 in time.
    pub async fn post(&self, body: Bytes) -> Result<Answer, PostError> {
        tokio::time::timeout(self.timeout, self.post_unbounded(body))
            .await
            .unwrap_or(Err(PostError::Timeout(self.timeout)))
    }

    /// Same as [`Webhook::post`] without a timeout, for callers with their own deadline.
    ///
    /// # Errors
    /// See [`Webhook::post`].
    pub async fn post_unbounded(&self, body: Bytes) -> Result<Answer, PostError> {
        let (uri, secret) = (&self.uri, self.secret.as_ref());
        let bytes = post(&self.transport, uri, secret, body).await?;
        serde_json::from_slice(&bytes).map_err(|error| PostError::Unreadable {
            why: error.to_string(),
            address: self.address,
        })
    }
}

async fn post(
    transport: &Transport,
    uri: &Uri,
    secret: Option<&HeaderValue>,
    body: Bytes,
) -> Result<Bytes, PostError> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_TEXT));
    if let Some(secret) = secret {
        headers.insert(AUTHORIZATION, secret.clone());
    }
    let response = transport.request(request).await;
    let (head, body) = response.map_err(PostError::unsent)?.into_parts();
    let bytes = Limited::new(body, ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| PostError::Broken(innermost_cause(&*error)))?
        .to_bytes();
    if head.status != StatusCode::OK {
        return Err(refusal(&Response::from_parts(head, ()), &bytes));
    }
    Ok(bytes)
}

/// Plain and TLS clients are two types, so http neither loads certificates nor pays for TLS.
#[derive(Debug, Clone)]
pub(crate) enum Transport {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Transport {
    pub(crate) fn new(uri: &Uri, connections: usize) -> anyhow::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // A delivery is one write, so waiting to fill a segment would only add latency.
        tcp.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_max_idle_per_host(connections)
            .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS_MAX))
            .pool_timer(TokioTimer::new());
        if uri.scheme_str() != Some("https") {
            return Ok(Self::Plain(builder.build(tcp)));
        }
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(aws_lc_rs::default_provider())
            .context("could not load this machine's root certificates, which https needs")?
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self::Tls(builder.build(connector)))
    }

    pub(crate) fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        match self {
            Self::Plain(client) => client.request(request),
            Self::Tls(client) => client.request(request),
        }
    }
}

/// Reads a response other than 200: its problem details (RFC 9457) or else its text.
pub(crate) fn refusal(head: &Response<()>, body: &[u8]) -> PostError {
    #[derive(Deserialize)]
    struct Problem {
        #[serde(default)]
        title: String,
        #[serde(default)]
        detail: String,
        #[serde(default)]
        reason: String,
    }
    let (detail, reason) = match serde_json::from_slice::<Problem>(body) {
        Ok(problem) if !problem.detail.is_empty() => (problem.detail, problem.reason),
        Ok(problem) => (problem.title, problem.reason),
        Err(_) => {
            let text = String::from_utf8_lossy(body).trim().to_owned();
            (text, String::new())
        }
    };
    let retry_after = head
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    // Control characters must not reach the user's terminal.
    let detail = detail
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(DETAIL_CHARS_MAX)
        .collect();
    PostError::Status {
        status: head.status(),
        detail,
        reason,
        retry_after,
    }
}

/// The innermost cause, which is the most helpful one ("connection refused").
pub(crate) fn innermost_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, retry_after: Option<&str>, message: &str, retryable: bool) {
        let mut head = Response::builder().status(status);
        if let Some(value) = retry_after {
            head = head.header(RETRY_AFTER, value);
        }
        let error = refusal(&head.body(()).unwrap(), body.as_bytes());
        assert_eq!(error.to_string(), message);
        assert_eq!(error.is_retryable(), retryable, "{message}");
        assert_eq!(error.kind(), status.to_string());
    }

    #[test]
    fn errors_contain_the_servers_explanation() {
        let unauthorized = "the server responded with 401 Unauthorized: no secret matches";
        check(
            401,
            r#"{"title":"x","detail":"no secret matches"}"#,
            None,
            unauthorized,
            false,
        );
        check(
            413,
            r#"{"title":"too large"}"#,
            None,
            "the server responded with 413 Payload Too Large: too large",
            false,
        );
        check(
            503,
            "",
            Some("2"),
            "the server responded with 503 Service Unavailable",
            true,
        );
        check(
            502,
            "<html>\x1b[31m",
            None,
            "the server responded with 502 Bad Gateway: <html> [31m",
            true,
        );
        check(
            429,
            "slow",
            None,
            "the server responded with 429 Too Many Requests: slow",
            true,
        );
        check(
            400,
            "{}",
            None,
            "the server responded with 400 Bad Request",
            false,
        );
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        for (value, expected) in [("2", Some(2)), ("Wed, 21 Oct 2015 07:28:00 GMT", None)] {
            let head = Response::builder()
                .status(503)
                .header(RETRY_AFTER, value)
                .body(())
                .unwrap();
            assert_eq!(
                refusal(&head, b"").retry_after(),
                expected.map(Duration::from_secs)
            );
        }
    }

    #[test]
    fn a_path_in_front_is_kept() {
        for (base, expected) in [
            ("http://h:1", "http://h:1/webhooks/ticks"),
            ("http://h:1/", "http://h:1/webhooks/ticks"),
            ("http://h/stage/", "http://h/stage/webhooks/ticks"),
        ] {
            let target = Target {
                to: base.parse().unwrap(),
                option: "--to",
                secret: None,
                timeout: 1,
            };
            assert_eq!(Webhook::new(&target, "ticks", 1).unwrap().uri(), expected);
        }
    }
}
