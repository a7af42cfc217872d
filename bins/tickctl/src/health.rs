//! What a deployed webhook tells of itself: `GET /healthz`.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, StatusCode, Uri};
use serde::Deserialize;

use crate::client::Transport;

/// How long the whole answer may take; a cold start is within it.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Most bytes of an answer that are read; a webhook's are about a hundred.
const ANSWER_BYTES_MAX: usize = 16 * 1_024;

/// Which code a webhook runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Health {
    /// The package's version.
    version: String,
    /// SHA-256 of the zip in hexadecimal, where the deploy told it.
    code_sha256: Option<String>,
}

impl Health {
    /// In a few words.
    pub(crate) fn told(&self) -> String {
        match &self.code_sha256 {
            Some(hash) => format!("{hash} webhook {}", self.version),
            None => format!("webhook {}, which was not told its hash", self.version),
        }
    }
}

/// Asks the webhook under an address; a path in front of `/healthz` is kept.
///
/// # Errors
/// Where no webhook answers with 200 in time.
pub(crate) async fn ask(base: &Uri) -> anyhow::Result<Health> {
    let uri: Uri = format!("{}/healthz", base.to_string().trim_end_matches('/'))
        .parse()
        .with_context(|| format!("{base} with /healthz is no address"))?;
    tokio::time::timeout(ANSWER_WITHIN, ask_unbounded(uri.clone()))
        .await
        .with_context(|| format!("no answer within {} s", ANSWER_WITHIN.as_secs()))
        .flatten()
        .with_context(|| format!("{uri} cannot be asked"))
}

async fn ask_unbounded(uri: Uri) -> anyhow::Result<Health> {
    let transport = Transport::new(&uri, 1)?;
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = uri;
    let (head, body) = transport.request(request).await?.into_parts();
    ensure!(
        head.status == StatusCode::OK,
        "the answer is {}",
        head.status
    );
    let read = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let bytes = read.map_err(anyhow::Error::from_boxed)?.to_bytes();
    serde_json::from_slice(&bytes).context("the answer is not a webhook's")
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
    async fn a_webhook_tells_which_code_it_runs() {
        let base = serve(r#"{"status":"ok","version":"0.1.0","code_sha256":"5aa78a"}"#).await;
        let health = ask(&base).await.unwrap();
        assert_eq!(health.told(), "5aa78a webhook 0.1.0");
    }

    #[tokio::test]
    async fn a_webhook_without_a_hash_says_so() {
        let base = serve(r#"{"status":"ok","version":"0.1.0"}"#).await;
        let told = ask(&base).await.unwrap().told();
        assert_eq!(told, "webhook 0.1.0, which was not told its hash");
    }

    #[tokio::test]
    async fn what_is_no_webhook_is_told_with_its_address() {
        let base = serve("hello").await;
        let error = format!("{:#}", ask(&base).await.unwrap_err());
        assert!(error.contains("/stage/healthz"), "{error}");
        assert!(error.contains("not a webhook's"), "{error}");

        let elsewhere: Uri = base.to_string().replace("/stage", "").parse().unwrap();
        let error = format!("{:#}", ask(&elsewhere).await.unwrap_err());
        assert!(error.contains("404"), "{error}");

        let nobody: Uri = "http://127.0.0.1:9".parse().unwrap();
        assert!(ask(&nobody).await.is_err());
    }
}
