//! What operators ask of a running tickstream over HTTP, with their token.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::{PostError, Transport, USER_AGENT_TEXT, innermost_cause, refusal};
use crate::process::BadInput;
use crate::target::{AddressFrom, Secret};

/// The most of a response, or of a line of one, that is read, in MiB.
const RESPONSE_MIB_MAX: usize = 8;

const RESPONSE_BYTES_MAX: usize = RESPONSE_MIB_MAX * 1_024 * 1_024;

/// How long a job of the server may be silent. It writes a line at least every few seconds while it works.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A running tickstream.
#[derive(Debug)]
pub struct ServerClient {
    transport: Transport,
    base: String,
    address: AddressFrom,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

/// One line of a job's response: any number of `progress`, and at the end `result` or `error`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum JobLine<P, R> {
    /// How far it is; null before anything is done, from earlier servers.
    Progress(Option<P>),
    /// What it found or did.
    Result(R),
    /// Why it ended without a result.
    Error(String),
}

impl ServerClient {
    /// Prepares requests to the tickstream at an address; a path in front of `/api` is kept. Nothing is sent
    /// yet.
    ///
    /// # Errors
    /// [`BadInput`] if the token is refused; or the machine has no root certificates for an https address.
    pub fn new(
        to: &Uri,
        address: AddressFrom,
        token: Option<&Secret>,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let token = token.map(Secret::bearer).transpose();
        let token = token
            .map_err(|rule| BadInput(format!("the token in OPERATOR_TOKEN or --token {rule}")))?;
        Ok(Self {
            transport: Transport::new(to, 1)?,
            base: to.to_string().trim_end_matches('/').to_owned(),
            address,
            authorization: token.flatten(),
            timeout,
        })
    }

    /// The server's address, without a slash at its end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The same server, asked without the token.
    pub(crate) fn without_token(&self) -> Self {
        Self {
            transport: self.transport.clone(),
            base: self.base.clone(),
            address: self.address,
            authorization: None,
            timeout: self.timeout,
        }
    }

    /// Gets what is at a path, which may have a query.
    ///
    /// # Errors
    /// [`PostError`] for anything except a readable 200 in time.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, PostError> {
        self.call(Method::GET, path, None).await
    }

    /// Sends one request, and reads the complete response.
    ///
    /// # Errors
    /// [`PostError`] for anything except a readable 200 in time.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, PostError> {
        let responding = async {
            let body = self.send(method, path, body).await?;
            let read = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
            let bytes = read.map_err(|error| PostError::Broken(innermost_cause(&*error)))?;
            serde_json::from_slice(&bytes.to_bytes()).map_err(|error| self.unreadable(error))
        };
        tokio::time::timeout(self.timeout, responding)
            .await
            .unwrap_or(Err(PostError::Timeout(self.timeout)))
    }

    /// Has the server do a job that may take any time, and reads its response line by line: each line of
    /// progress is handed on as it comes. It is given up if the server does not begin in time, or is then silent for a
    /// minute.
    ///
    /// The response is NDJSON: `{"progress": P}` at least every few seconds, and at the end `{"result": R}` or
    /// `{"error": "why, and what to do"}`. One that ends without either was broken off.
    ///
    /// # Errors
    /// [`PostError`], which is [`PostError::Failed`] if the job itself failed.
    pub async fn job<P: DeserializeOwned, R: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        mut on_progress: impl FnMut(P),
    ) -> Result<R, PostError> {
        let response = self.send(method, path, body);
        let body = tokio::time::timeout(self.timeout, response)
            .await
            .unwrap_or(Err(PostError::Timeout(self.timeout)))?;
        let mut lines = Lines::new(body, SILENCE_MAX);
        while let Some(line) = lines.next().await? {
            let line = serde_json::from_slice(&line).map_err(|error| self.unreadable(error))?;
            match line {
                JobLine::Progress(progress) => progress.into_iter().for_each(&mut on_progress),
                JobLine::Result(result) => return Ok(result),
                JobLine::Error(why) => return Err(PostError::Failed(why)),
            }
        }
        let cut = "the response ended before its result".to_owned();
        Err(PostError::Broken(cut))
    }

    /// What an error means for who holds the token, and what to do.
    pub fn explain(&self, error: PostError) -> anyhow::Error {
        let advice = match &error {
            PostError::Status { status, .. } if *status == StatusCode::UNAUTHORIZED => {
                match &self.authorization {
                    None => "set OPERATOR_TOKEN to that of the server".to_owned(),
                    Some(_) => "the token in OPERATOR_TOKEN or --token is not that of the server"
                        .to_owned(),
                }
            }
            PostError::Timeout(_) => {
                format!("{} does not answer (its log may say why)", self.base)
            }
            PostError::Connect(_) | PostError::Broken(_) => {
                format!("{} cannot be reached", self.base)
            }
            PostError::Status { .. }
            | PostError::Unreadable { .. }
            | PostError::LongLine(_)
            | PostError::Failed(_) => {
                return anyhow::Error::new(error);
            }
        };
        anyhow::Error::new(error).context(advice)
    }

    fn unreadable(&self, error: serde_json::Error) -> PostError {
        PostError::Unreadable {
            why: error.to_string(),
            address: self.address,
        }
    }

    /// Sends one request, and waits for the head of a response with status 200.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Incoming, PostError> {
        let uri = format!("{}{path}", self.base);
        let uri: Uri = uri
            .parse()
            .map_err(|error| PostError::Connect(format!("{uri} is not an address: {error}")))?;
        let mut request = Request::new(Full::new(match body {
            None => Bytes::new(),
            Some(body) => Bytes::from(body.to_string()),
        }));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_TEXT));
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let response = self.transport.request(request).await;
        let (head, body) = response.map_err(PostError::unsent)?.into_parts();
        if head.status == StatusCode::OK {
            return Ok(body);
        }
        let read = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
        let bytes = read.map_err(|error| PostError::Broken(innermost_cause(&*error)))?;
        Err(refusal(&Response::from_parts(head, ()), &bytes.to_bytes()))
    }
}

/// A response that is read line by line.
struct Lines {
    body: Incoming,
    buffer: BytesMut,
    silence_max: Duration,
}

impl Lines {
    fn new(body: Incoming, silence_max: Duration) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            silence_max,
        }
    }

    /// The next line without its end, as soon as it is complete; `None` at the end. Empty lines are passed over.
    async fn next(&mut self) -> Result<Option<BytesMut>, PostError> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
            }
            if self.buffer.len() > RESPONSE_BYTES_MAX {
                return Err(PostError::LongLine(RESPONSE_MIB_MAX));
            }
            let frame = tokio::time::timeout(self.silence_max, self.body.frame()).await;
            match frame.map_err(|_| PostError::Timeout(self.silence_max))? {
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.buffer.extend_from_slice(bytes);
                    }
                }
                Some(Err(error)) => return Err(PostError::Broken(innermost_cause(&error))),
                // The last line needs no end, but must be complete.
                None if self.buffer.trim_ascii().is_empty() => return Ok(None),
                None => return Ok(Some(self.buffer.split())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::{get, post};
    use futures_util::{StreamExt as _, stream};
    use tokio::net::TcpListener;

    use super::*;

    /// A client of a server whose job responds with these pieces, and then hangs or ends.
    async fn client(pieces: &'static [&'static str], hangs: bool) -> ServerClient {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let job = async move || {
            let pieces = stream::iter(pieces).map(|piece| Ok::<_, std::io::Error>(*piece));
            let rest = stream::pending().take(usize::from(hangs));
            Body::from_stream(pieces.chain(rest))
        };
        let router = Router::new()
            .route("/stage/api/job", post(job))
            .route("/stage/api/number", get(async || "7"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let to = format!("http://{address}/stage/").parse().unwrap();
        let address = AddressFrom::Option("--server");
        ServerClient::new(&to, address, None, Duration::from_secs(20)).unwrap()
    }

    async fn run(pieces: &'static [&'static str]) -> (Vec<u32>, Result<String, PostError>) {
        let client = client(pieces, false).await;
        let mut seen = Vec::new();
        let result = client
            .job(Method::POST, "/api/job", None, |progress| {
                seen.push(progress)
            })
            .await;
        (seen, result)
    }

    #[tokio::test]
    async fn a_path_in_front_is_kept() {
        let client = client(&[], false).await;
        assert_eq!(client.get::<u32>("/api/number").await.unwrap(), 7);
        let error = client.get::<u32>("/api/none").await.unwrap_err();
        assert_eq!(error.kind(), "404");
    }

    #[tokio::test]
    async fn lines_of_progress_come_before_the_result_however_they_are_cut() {
        let (seen, result) = run(&[
            "{\"progress\":null}\n{\"progress\":1}\n\n{\"pro",
            "gress\":2}\n{\"result\":",
            "\"done\"}",
        ])
        .await;
        assert_eq!(seen, [1, 2]);
        assert_eq!(result.unwrap(), "done");
    }

    #[tokio::test]
    async fn a_job_that_fails_or_is_cut_off_has_no_result() {
        for (pieces, message) in [
            (
                &["{\"progress\":1}\n{\"error\":\"the disk is full\"}\n"] as &'static [_],
                "the disk is full",
            ),
            (&["{\"progress\":1}\n"], "ended before its result"),
            (&["{\"progress\":1}\n{\"resu"], "not from a tickstream"),
            (&["<html>\n"], "is the address in --server correct?"),
        ] {
            let error = run(pieces).await.1.unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_not_read_for_ever() {
        let piece: &'static str = "x".repeat(RESPONSE_BYTES_MAX / 4).leak();
        let error = run(vec![piece; 5].leak()).await.1.unwrap_err().to_string();
        assert!(error.contains("longer than 8 MiB"), "{error}");
        assert!(!error.contains("could not do it"), "{error}");
    }

    #[tokio::test]
    async fn a_line_is_handed_on_before_the_response_ends_and_silence_ends_it() {
        let client = client(&["{\"progress\":1}\n"], true).await;
        let body = client.send(Method::POST, "/api/job", None).await.unwrap();
        let mut lines = Lines::new(body, Duration::from_millis(50));
        let line = lines.next().await.unwrap().unwrap();
        assert_eq!(&line[..], b"{\"progress\":1}");
        let silent = lines.next().await.unwrap_err();
        assert_eq!(silent.kind(), "timeout");
    }
}
