//! `tickctl doctor`: checks everything that a tickstream needs, on this machine or on AWS.

#[cfg(feature = "aws")]
mod cloud;
mod machine;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
#[cfg(feature = "aws")]
use hyper::Uri;
use ops::doctor::{CheckLine, CheckState, overall};
use runtime::printable::printable;
use serde_json::json;

use crate::data_access::DataOptions;
use crate::observe::sql_probe::SqlProgram;
use crate::process::{EXIT_FAILED, EXIT_UNSEEN, ExitWith, ProcessContext};
#[cfg(feature = "aws")]
use crate::project_options::{ON_AWS, ProjectOptions};
#[cfg(feature = "aws")]
use crate::target::parse_base;
use crate::watch;

/// Options of `tickctl doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each line is a check: its state (ok, warning, failed, not seen), the evidence, and what to do. A running
process is asked over HTTP; where none runs, the store itself is opened. SQL is asked of `ticksql`, which is
looked for beside tickctl and on the PATH, and is ended after --timeout if it has not answered, also with --aws.

On AWS, a look reads 23 metrics ($0.0002) and runs one statement on Athena. It needs the operator's policy
of infra/operators.yaml, and for SQL that of an analyst.

Examples:
  tickctl doctor
  tickctl doctor --data-dir /srv/tickstream/data --watch
  OPERATOR_TOKEN=... tickctl doctor --server https://ticks.example --json
  tickctl doctor --aws --project prices --webhook https://ID.execute-api.eu-central-1.amazonaws.com --budget 500

Exit codes: 0 nothing failed (warnings may be there); 1 something failed; 2 a wrong option; 3 nothing that was
seen failed, but not everything could be seen.")]
pub struct DoctorArgs {
    #[command(flatten)]
    data: DataOptions,
    /// A project on AWS, instead of this machine.
    #[cfg(feature = "aws")]
    #[command(flatten)]
    project: ProjectOptions,
    /// The address of the webhook on AWS, without /webhooks.
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "URL", env = "WEBHOOK_URL", value_parser = parse_base, help_heading = ON_AWS)]
    webhook: Option<Uri>,
    /// What a month on AWS may cost.
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "USD", env = "MONTHLY_BUDGET_USD", value_parser = usd, help_heading = ON_AWS)]
    budget: Option<f64>,
    /// Tokens with ticks on AWS, which the bill depends on.
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = ON_AWS)]
    tokens: u32,
    /// The program `ticksql`.
    #[arg(long, value_name = "FILE")]
    ticksql: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Look again every so many seconds, until Ctrl-C.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
}

#[cfg(feature = "aws")]
fn usd(text: &str) -> Result<f64, String> {
    let amount: f64 = text.parse().map_err(|_| "use a number".to_owned())?;
    if amount.is_finite() && amount > 0.0 {
        Ok(amount)
    } else {
        Err("use an amount above 0".to_owned())
    }
}

/// Runs `tickctl doctor`.
///
/// # Errors
/// [`ExitWith`] if something failed or was not seen; or if nothing can be looked at.
pub async fn run(args: DoctorArgs, process: ProcessContext) -> anyhow::Result<()> {
    let every = args.watch.map(Duration::from_secs);
    let state = watch::draw(every, &process, async || {
        let lines = Box::pin(look(&args, &process)).await?;
        let state = overall(&lines);
        let screen = match args.json {
            true => json!({ "state": state, "checks": lines }).to_string(),
            false => text(&lines),
        };
        Ok((screen, state))
    })
    .await?;
    match state {
        CheckState::Ok | CheckState::Warning => Ok(()),
        CheckState::Failed => Err(ExitWith(EXIT_FAILED).into()),
        CheckState::NotSeen => Err(ExitWith(EXIT_UNSEEN).into()),
    }
}

impl DoctorArgs {
    fn sql(&self) -> SqlProgram<'_> {
        SqlProgram {
            path: self.ticksql.as_deref(),
            seconds: self.data.timeout,
        }
    }
}

async fn look(args: &DoctorArgs, process: &ProcessContext) -> anyhow::Result<Vec<CheckLine>> {
    #[cfg(feature = "aws")]
    if args.project.aws {
        return cloud::look(args, process).await;
    }
    machine::look(&args.data, args.sql(), process).await
}

/// The lines as a table; advice stands under its line.
fn text(lines: &[CheckLine]) -> String {
    let rows = lines.iter().enumerate().map(|(at, line)| {
        // Evidence may contain what others wrote.
        let evidence = printable(&line.evidence).replace(['\n', '\t'], " ");
        let mut row = format!("{:<9} {:<11} {evidence}", line.state.as_str(), line.check);
        // Where lines in a row have the same, it stands under the last of them.
        let next = lines.get(at + 1).and_then(|next| next.advice.as_ref());
        if let Some(advice) = line.advice.as_ref().filter(|advice| next != Some(*advice)) {
            let advice = printable(advice).replace(['\n', '\t'], " ");
            row += &format!("\n{:<21} do: {advice}", "");
        }
        row
    });
    rows.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_advice_under_it() {
        let line = |state, advice: Option<&str>| CheckLine {
            check: "disk",
            state,
            evidence: "10 MB\x1b[31m free".to_owned(),
            advice: advice.map(str::to_owned),
        };
        let lines = [
            line(CheckState::Ok, None),
            line(CheckState::NotSeen, Some("make room")),
            line(CheckState::Failed, Some("make room")),
        ];
        let text = text(&lines);
        let rows: Vec<&str> = text.lines().collect();
        assert!(rows[0].starts_with("ok        disk        10 MB"), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
        assert!(rows[1].starts_with("not seen  disk        10 MB"), "{text}");
        assert!(rows[2].starts_with("failed    disk        10 MB"), "{text}");
        assert_eq!(rows[3], "                      do: make room");
    }
}
