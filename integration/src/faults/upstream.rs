//! Forwards calls to the emulator, whole or in part.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request};
use axum::response::{IntoResponse as _, Response};

use super::answers;
use super::parts::Split;

/// The largest body that is forwarded (our largest request is PutRecords with 10 MiB).
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

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

/// The emulator.
pub(super) struct Upstream {
    endpoint: String,
    client: reqwest::Client,
}

impl Upstream {
    pub(super) fn new(endpoint: &str) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        Ok(Self {
            endpoint: endpoint.to_owned(),
            client: client.build()?,
        })
    }

    pub(super) async fn forward(&self, parts: &request::Parts, body: Bytes) -> Response {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let sent = self
            .client
            .request(parts.method.clone(), format!("{}{path}", self.endpoint))
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
    pub(super) async fn forward_split(&self, split: &Split, parts: &request::Parts) -> Response {
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

fn without_hop_by_hop(headers: &HeaderMap) -> HeaderMap<HeaderValue> {
    let mut headers = headers.clone();
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers
}
