//! `tickctl server`: operates a running tickstream over HTTP, with its operators' token.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, Subcommand};
use domain::{Percentage, RolloutKey};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::client::{Transport, refusal};
use crate::process::{BadInput, print_line};
use crate::target::{Secret, parse_base};

/// The most bytes of a response that are read: the rollout with its history is far smaller.
const RESPONSE_BYTES_MAX: usize = 1_024 * 1_024;

/// How many changes are shown.
const HISTORY_SHOWN: usize = 10;

/// Shows and changes the rollout of a running tickstream, and has it write its archive.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// The action.
    #[command(subcommand)]
    action: Action,
    /// The address of the tickstream, http or https.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = parse_base, global = true)]
    to: Uri,
    /// The server's OPERATOR_TOKEN. Prefer the environment variable: other users of the machine can read
    /// arguments.
    #[arg(long, value_name = "TOKEN", env = "OPERATOR_TOKEN", hide_env_values = true, value_parser = Secret::read, global = true)]
    token: Option<Secret>,
    /// Seconds after which a request without a response fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600), global = true)]
    timeout: u64,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows the rollout and its last changes, or changes it.
    Rollout(Change),
    /// Writes what was streamed to the archive now.
    Flush,
}

/// A change of the rollout; without any option, it is only shown.
#[derive(Debug, Args)]
struct Change {
    /// The share of ticks for the stream, 0 to 100 with at most two decimals.
    percentage: Option<Percentage>,
    /// The master switch of the stream: true or false.
    #[arg(long, value_name = "BOOL")]
    use_kinesis: Option<bool>,
    /// What the share is selected by: `tick` or `token`.
    #[arg(long)]
    key: Option<RolloutKey>,
    /// Who makes the change, which is recorded.
    #[arg(
        long,
        value_name = "NAME",
        env = "USER",
        hide_env = true,
        default_value = "unknown"
    )]
    who: String,
    /// Why the change is made, which is recorded.
    #[arg(long)]
    why: Option<String>,
}

impl Change {
    /// The body of the request; `None` if nothing is changed.
    fn body(&self) -> Result<Option<Value>, BadInput> {
        if self.percentage.is_none() && self.use_kinesis.is_none() && self.key.is_none() {
            return Ok(None);
        }
        let Some(why) = &self.why else {
            let message = "a change is recorded with its reason: add --why REASON";
            return Err(BadInput(message.to_owned()));
        };
        // The server leaves what is null as it is.
        let body = json!({
            "percentage": self.percentage.map(|percentage| percentage.to_string()),
            "use_kinesis": self.use_kinesis,
            "key": self.key,
            "who": self.who,
            "why": why,
        });
        Ok(Some(body))
    }
}

/// The rollout as the server shows it.
#[derive(Debug, Deserialize)]
struct Shown {
    #[serde(flatten)]
    rollout: Rollout,
    history: Vec<Past>,
}

#[derive(Debug, Deserialize)]
struct Rollout {
    use_kinesis: bool,
    percentage: f64,
    key: RolloutKey,
}

#[derive(Debug, Deserialize)]
struct Past {
    who: String,
    why: String,
    #[serde(flatten)]
    rollout: Rollout,
}

impl Rollout {
    fn text(&self) -> String {
        if self.use_kinesis {
            format!("{} %, selected by {}", self.percentage, self.key)
        } else {
            format!(
                "off (set to {} %, selected by {})",
                self.percentage, self.key
            )
        }
    }
}

impl Shown {
    fn text(&self) -> String {
        let mut lines = vec![format!("rollout   {}", self.rollout.text())];
        lines.extend(self.history.iter().take(HISTORY_SHOWN).map(|past| {
            // What was recorded may be anybody's text.
            let clean = |text: &str| text.replace(char::is_control, " ");
            let (who, why) = (clean(&past.who), clean(&past.why));
            format!("change    {}: {who}: {why}", past.rollout.text())
        }));
        lines.join("\n")
    }
}

/// What the archive's flush wrote.
#[derive(Debug, Deserialize)]
struct Flushed {
    ticks: u64,
    files: u64,
}

/// Runs the command.
///
/// # Errors
/// If the server refuses the request or does not respond.
pub async fn run(args: ServerArgs) -> anyhow::Result<()> {
    let server = Server::new(&args)?;
    match &args.action {
        Action::Rollout(change) => {
            let request = match change.body()? {
                None => (Method::GET, None),
                Some(body) => (Method::PUT, Some(body)),
            };
            let shown: Shown = server.call(request, "/api/rollout").await?;
            print_line(&shown.text())?;
        }
        Action::Flush => {
            let request = (Method::POST, None);
            let flushed: Flushed = server.call(request, "/api/archive/flush").await?;
            let Flushed { ticks, files } = flushed;
            print_line(&format!(
                "archive   {ticks} ticks were written in {files} files"
            ))?;
        }
    }
    Ok(())
}

/// A running tickstream.
struct Server {
    transport: Transport,
    base: String,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

impl Server {
    fn new(args: &ServerArgs) -> anyhow::Result<Self> {
        let token = args.token.as_ref().map(Secret::bearer).transpose();
        let token = token
            .map_err(|rule| BadInput(format!("the token in OPERATOR_TOKEN or --token {rule}")))?;
        Ok(Self {
            transport: Transport::new(&args.to, 1)?,
            base: args.to.to_string().trim_end_matches('/').to_owned(),
            authorization: token.flatten(),
            timeout: Duration::from_secs(args.timeout),
        })
    }

    /// Sends a request, and reads the response to it.
    async fn call<T: DeserializeOwned>(
        &self,
        (method, body): (Method, Option<Value>),
        path: &str,
    ) -> anyhow::Result<T> {
        let uri = format!("{}{path}", self.base);
        let mut request = Request::new(Full::new(match &body {
            None => Bytes::new(),
            Some(body) => Bytes::from(body.to_string()),
        }));
        *request.method_mut() = method;
        *request.uri_mut() = uri
            .parse()
            .with_context(|| format!("{uri} is not a valid address"))?;
        let headers = request.headers_mut();
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let responding = async {
            let (head, body) = self.transport.request(request).await?.into_parts();
            let read = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
            let bytes = read.map_err(anyhow::Error::from_boxed)?.to_bytes();
            anyhow::Ok((head, bytes))
        };
        let (head, bytes) = tokio::time::timeout(self.timeout, responding)
            .await
            .with_context(|| format!("no response within {} s", self.timeout.as_secs()))
            .flatten()
            .with_context(|| format!("{uri} cannot be reached"))?;
        if head.status != StatusCode::OK {
            let unauthorized = head.status == StatusCode::UNAUTHORIZED;
            let error = anyhow::Error::new(refusal(&Response::from_parts(head, ()), &bytes));
            return Err(match (unauthorized, &self.authorization) {
                (false, _) => error,
                (true, None) => error.context("set OPERATOR_TOKEN to that of the server"),
                (true, Some(_)) => error
                    .context("the token in OPERATOR_TOKEN or --token is not that of the server"),
            });
        }
        serde_json::from_slice(&bytes)
            .with_context(|| format!("the response is not from a tickstream: is {uri} correct?"))
    }
}
