//! `tickctl backup`: has a running tickstream make a backup of its data folder.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Args, value_parser};
use domain::count_of;
use hyper::{Method, StatusCode, Uri};
use serde::{Deserialize, Serialize};

use crate::client::PostError;
use crate::process::{ProcessContext, print_line};
use crate::server_client::ServerClient;
use crate::target::{AddressFrom, Secret, parse_base};

/// Options of `tickctl backup`.
#[derive(Debug, Args)]
#[command(after_help = "\
The backup is a folder on the server's machine, under its --backup-dir (by default the folder `backups` in
its data folder). It is a complete data folder: to restore it, stop the server, move the folder into the
place of the data folder, and start the server. docs/operations.md has the commands.

On the file system of the data folder, a backup takes no room at first, since it shares the files of the
store and of the archive: copy it to another disk.

Examples:
  tickctl backup
  rsync -a \"$(tickctl backup --json | jq -r .path)\" other-machine:backups/
  OPERATOR_TOKEN=... tickctl backup --to https://ticks.example")]
pub struct BackupArgs {
    /// The address of the tickstream, http or https; a path in front of /api is kept.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = parse_base)]
    pub to: Uri,
    /// The server's OPERATOR_TOKEN. Prefer the environment variable: other users of the machine can read
    /// arguments.
    #[arg(long, value_name = "TOKEN", env = "OPERATOR_TOKEN", hide_env_values = true, value_parser = Secret::read)]
    pub token: Option<Secret>,
    /// Seconds to wait for the end of the backup. The server completes it in any case.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// The server's response.
#[derive(Debug, Deserialize, Serialize)]
struct Made {
    path: String,
    ticks: u64,
    files: u64,
    bytes: u64,
    elapsed_ms: u64,
    writes_paused_ms: u64,
}

/// Runs `tickctl backup`.
///
/// # Errors
/// If there is no backup, or the server did not report it in time.
pub async fn run(args: BackupArgs, process: ProcessContext) -> anyhow::Result<()> {
    let timeout = Duration::from_secs(args.timeout);
    let token = args.token.as_ref();
    let server = ServerClient::new(&args.to, AddressFrom::Option("--to"), token, timeout)?;
    let made: Result<Made, PostError> = tokio::select! {
        made = server.call(Method::POST, "/api/backup", None) => made,
        () = process.stop.cancelled() => {
            return Err(anyhow!("stopped waiting; the server completes the backup"));
        }
    };
    let made = made.map_err(|error| explained(&server, error))?;
    let text = match args.json {
        true => serde_json::to_string(&made)?,
        false => report(&made),
    };
    print_line(&text).context("the report cannot be written")
}

fn explained(server: &ServerClient, error: PostError) -> anyhow::Error {
    let what_to_do = match &error {
        PostError::Status { status, .. } if *status == StatusCode::NOT_FOUND => {
            "is the address in --to that of a tickstream that makes backups?".to_owned()
        }
        PostError::Timeout(waited) => format!(
            "the server goes on: look for the backup in its --backup-dir, or wait longer than \
             --timeout {}",
            waited.as_secs()
        ),
        PostError::Status { .. }
        | PostError::Connect(_)
        | PostError::Broken(_)
        | PostError::Unreadable { .. }
        | PostError::LongLine(_)
        | PostError::Failed(_) => {
            return server.explain(error).context("there is no backup");
        }
    };
    anyhow::Error::new(error).context(what_to_do)
}

fn report(made: &Made) -> String {
    let elapsed = Duration::from_millis(made.elapsed_ms);
    format!(
        "backup    {}\ncontains  {}; {}, {} bytes\ntook      {:.1} s; writes waited for {} ms of them",
        made.path,
        count_of(made.ticks, "tick"),
        count_of(made.files, "file"),
        made.bytes,
        elapsed.as_secs_f64(),
        made.writes_paused_ms,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_three_plain_lines() {
        let made = Made {
            path: "/d/backups/backup-20260102T000000.000Z".to_owned(),
            ticks: 12,
            files: 40,
            bytes: 5_000,
            elapsed_ms: 1_250,
            writes_paused_ms: 30,
        };
        let expected = "\
backup    /d/backups/backup-20260102T000000.000Z
contains  12 ticks; 40 files, 5000 bytes
took      1.2 s; writes waited for 30 ms of them";
        assert_eq!(report(&made), expected);
    }
}
