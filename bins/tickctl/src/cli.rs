//! The command line: subcommands, shared options, exit codes.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use hyper::Uri;
use hyper::header::HeaderValue;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "aws")]
use crate::commands::rollout;
use crate::commands::{compact, load, replay};

/// The exit code of a failure: of the server or the network, or errors under load.
const EXIT_FAILED: u8 = 1;

/// The exit code for wrong arguments or an invalid file; clap uses the same for wrong options.
const EXIT_BAD_INPUT: u8 = 2;

const AFTER_HELP: &str = "\
Examples:
  tickctl replay binance-BTCUSDT-2021-01-08.csv --format binance-trades --speed max
  tickctl replay kraken-XBTUSDT-trades.json --format kraken-trades --speed 60
  unzip -p BTCUSDT-trades-2025-01-08.zip | tickctl replay - --format binance-trades --symbol BTCUSDT
  tickctl load --rate 4000 --seconds 60
  tickctl load --rate 200 --batch 500 --seconds 60 --json
  tickctl compact --dry-run
  tickctl rollout to canary
  tickctl rollout back

Exit codes:
  0  done
  1  failed: ticks not stored, request refused, stopped, unreadable files, or errors under load
  2  a wrong option or an invalid file";

/// Operates a tickstream: sends it real trades, measures it under load, compacts its archive,
/// controls its rollout on AWS.
#[derive(Debug, Parser)]
#[command(name = "tickctl", version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// All subcommands. A new one needs its file under `commands` and a line here.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sends real trades from a file to a running tickstream.
    Replay(replay::ReplayArgs),
    /// Sends generated ticks at a fixed rate and reports the latency (open loop).
    Load(load::LoadArgs),
    /// Merges the archive's many small files into a few large sorted ones.
    Compact(compact::CompactArgs),
    /// Shows and changes the share of ticks that goes to the stream on AWS.
    #[cfg(feature = "aws")]
    Rollout(rollout::RolloutArgs),
}

/// Where to send ticks: the options of every subcommand that sends.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The address of the tickstream, http or https; a path in front of /webhooks is kept.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = parse_base)]
    pub to: Uri,
    /// Sent unchanged in the `Authorization` header, like Helius does. Prefer the environment
    /// variable: other users of the machine can read arguments.
    #[arg(long, value_name = "SECRET", env = "TICKCTL_SECRET", hide_env_values = true, value_parser = parse_secret)]
    pub secret: Option<HeaderValue>,
    /// Seconds after which a request without a response fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
}

impl Target {
    /// What to do if the server responds with 401.
    #[must_use]
    pub fn about_secret(&self) -> &'static str {
        if self
            .secret
            .as_ref()
            .is_some_and(|secret| !secret.is_empty())
        {
            "the server does not accept the secret in TICKCTL_SECRET or --secret: use one of its \
             plain WEBHOOK_SECRETS"
        } else {
            "the server requires a secret: set TICKCTL_SECRET to one of its plain \
             WEBHOOK_SECRETS, or pass it with --secret"
        }
    }
}

/// What a subcommand needs from its process.
#[derive(Debug, Clone)]
pub struct ProcessContext {
    /// The wall clock, in milliseconds since the epoch.
    pub now_ms: fn() -> i64,
    /// Cancelled when the user stops the command.
    pub stop: CancellationToken,
}

/// Wrong arguments or an invalid file: exit code 2 instead of 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// Runs the subcommand, prints its error to stderr, and returns the exit code.
pub async fn run(cli: Cli, process: ProcessContext) -> ExitCode {
    let done = match cli.command {
        Command::Replay(args) => Box::pin(replay::run(args, process)).await,
        Command::Load(args) => Box::pin(load::run(args, process)).await,
        Command::Compact(args) => Box::pin(compact::run(args, process)).await,
        #[cfg(feature = "aws")]
        Command::Rollout(args) => Box::pin(rollout::run(args, process)).await,
    };
    let Err(error) = done else {
        return ExitCode::SUCCESS;
    };
    eprintln!("tickctl: {error:#}");
    if error.chain().any(|cause| cause.is::<BadInput>()) {
        ExitCode::from(EXIT_BAD_INPUT)
    } else {
        ExitCode::from(EXIT_FAILED)
    }
}

/// Writes a line to stdout. A closed pipe (`| head`) is not an error.
///
/// # Errors
/// Those of writing, except for a broken pipe.
pub fn print_line(line: &str) -> std::io::Result<()> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Parses the complete address of a server.
pub(crate) fn parse_base(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("use a complete address, such as http://127.0.0.1:8080".to_owned());
    }
    if uri.query().is_some() {
        return Err("use an address without a query".to_owned());
    }
    Ok(uri)
}

fn parse_secret(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "a secret must only have visible ASCII characters".to_owned())?;
    // Debug output of the arguments must not contain it.
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn bases_are_complete_addresses() {
        for good in [
            "http://127.0.0.1:8080",
            "https://ticks.example/stage",
            "http://[::1]:8080/",
        ] {
            assert!(parse_base(good).is_ok(), "{good}");
        }
        for bad in [
            "127.0.0.1:8080",
            "ftp://x",
            "/webhooks",
            "http://x/?a=1",
            "http://",
            "",
        ] {
            assert!(parse_base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let args = [
            "tickctl",
            "load",
            "--rate",
            "1",
            "--seconds",
            "1",
            "--secret",
            "hunter2",
        ];
        let cli = Cli::try_parse_from(args).unwrap();
        assert!(!format!("{cli:?}").contains("hunter2"));
        assert!(parse_secret("two\nlines").is_err());
    }
}
