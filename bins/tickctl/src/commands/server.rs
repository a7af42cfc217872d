//! `tickctl server`: operates a running tickstream over HTTP, with its operators' token.

use std::time::Duration;

use clap::{Args, Subcommand};
use domain::{Percentage, RolloutKey, count_of};
use hyper::{Method, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::process::{BadInput, print_line};
use crate::server_client::ServerClient;
use crate::target::{AddressFrom, Secret, parse_base};

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

impl ServerArgs {
    /// Whether nothing is changed.
    pub(crate) fn only_reads(&self) -> bool {
        match &self.action {
            Action::Rollout(change) => matches!(change.body(), Ok(None)),
            Action::Flush => false,
        }
    }
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
    let timeout = Duration::from_secs(args.timeout);
    let token = args.token.as_ref();
    let server = ServerClient::new(&args.to, AddressFrom::Option("--to"), token, timeout)?;
    match &args.action {
        Action::Rollout(change) => {
            let body = change.body()?;
            let method = match body {
                None => Method::GET,
                Some(_) => Method::PUT,
            };
            let shown = server.call(method, "/api/rollout", body.as_ref()).await;
            let shown: Shown = shown.map_err(|error| server.explain(error))?;
            print_line(&shown.text())?;
        }
        Action::Flush => {
            let flushed = server.call(Method::POST, "/api/archive/flush", None).await;
            let flushed = flushed.map_err(|error| server.explain(error))?;
            let Flushed { ticks, files } = flushed;
            print_line(&format!(
                "archive   wrote {} in {}",
                count_of(ticks, "tick"),
                count_of(files, "file")
            ))?;
        }
    }
    Ok(())
}
