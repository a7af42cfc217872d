//! Reads which code a deployed webhook runs, from `GET /healthz`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use chrono::DateTime;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::DATE;
use hyper::{Request, StatusCode, Uri};
use serde::Deserialize;

use crate::client::Transport;

/// How long the complete response may take, including a cold start.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of a response that are read; a webhook's response has about a hundred.
const RESPONSE_BYTES_MAX: usize = 16 * 1_024;

/// Which code a webhook runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Health {
    /// The package's version.
    pub(crate) version: String,
    /// SHA-256 of the zip in hexadecimal, if the deployment set it.
    pub(crate) code_sha256: Option<String>,
}

impl Health {
    /// A short description.
    pub(crate) fn summary(&self) -> String {
        match &self.code_sha256 {
            Some(hash) => format!("{hash} webhook {}", self.version),
            None => format!(
                "webhook {}, whose deployment did not set a hash",
                self.version
            ),
        }
    }
}

/// A response of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Responded {
    /// What it says.
    pub(crate) health: Health,
    /// The time of the response by its clock, in epoch milliseconds; it has whole seconds.
    pub(crate) date_ms: Option<i64>,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Queries the webhook at an address; a path in front of `/healthz` is kept.
///
/// # Errors
/// If no webhook responds with 200 in time.
pub(crate) async fn query(base: &Uri) -> anyhow::Result<Responded> {
    let uri: Uri = format!("{}/healthz", base.to_string().trim_end_matches('/'))
        .parse()
        .with_context(|| format!("{base} with /healthz is not a valid address"))?;
    tokio::time::timeout(RESPONSE_TIMEOUT, query_unbounded(uri.clone()))
        .await
        .with_context(|| format!("no response within {} s", RESPONSE_TIMEOUT.as_secs()))
        .flatten()
        .with_context(|| format!("{uri} cannot be reached"))
}

async fn query_unbounded(uri: Uri) -> anyhow::Result<Responded> {
    let asked = Instant::now();
    let transport = Transport::new(&uri, 1)?;
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = uri;
    let (head, body) = transport.request(request).await?.into_parts();
    ensure!(
        head.status == StatusCode::OK,
        "the response has the status {}",
        head.status
    );
    let read = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
    let bytes = read.map_err(anyhow::Error::from_boxed)?.to_bytes();
    let health = serde_json::from_slice(&bytes).context("the response is not from a webhook")?;
    let date = head.headers.get(DATE).and_then(|date| date.to_str().ok());
    Ok(Responded {
        health,
        date_ms: date.and_then(date_ms),
        took: asked.elapsed(),
    })
}

/// Reads a date of HTTP (RFC 9110, section 5.6.7), such as `Wed, 21 Oct 2015 07:28:00 GMT`.
fn date_ms(text: &str) -> Option<i64> {
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some(date.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;

    async fn serve(answer: &'static str) -> Uri {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/stage/healthz", get(async move || answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/stage/").parse().unwrap()
    }

    #[tokio::test]
    async fn a_webhook_reports_its_code() {
        let base = serve(r#"{"status":"ok","version":"0.1.0","code_sha256":"5aa78a"}"#).await;
        let responded = query(&base).await.unwrap();
        assert_eq!(responded.health.summary(), "5aa78a webhook 0.1.0");
        assert!(responded.date_ms.is_some(), "{responded:?}");
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(date_ms(date), Some(1_445_412_480_000));
        assert_eq!(date_ms("yesterday"), None);
    }

    #[tokio::test]
    async fn a_webhook_without_a_hash_is_reported_as_such() {
        let base = serve(r#"{"status":"ok","version":"0.1.0"}"#).await;
        let summary = query(&base).await.unwrap().health.summary();
        assert_eq!(
            summary,
            "webhook 0.1.0, whose deployment did not set a hash"
        );
    }

    #[tokio::test]
    async fn an_address_without_a_webhook_is_an_error_with_the_address() {
        let base = serve("hello").await;
        let error = format!("{:#}", query(&base).await.unwrap_err());
        assert!(error.contains("/stage/healthz"), "{error}");
        assert!(error.contains("not from a webhook"), "{error}");

        let elsewhere: Uri = base.to_string().replace("/stage", "").parse().unwrap();
        let error = format!("{:#}", query(&elsewhere).await.unwrap_err());
        assert!(error.contains("404"), "{error}");

        let nobody: Uri = "http://127.0.0.1:9".parse().unwrap();
        assert!(query(&nobody).await.is_err());
    }
}
