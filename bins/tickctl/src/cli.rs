//! The command line: its subcommands and exit codes.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::client::PostError;
#[cfg(feature = "aws")]
use crate::commands::rollout;
use crate::commands::{
    backup, compact, cost, detect, doctor, load, quarantine, rebuild, replay, requeue, server,
    status, verify,
};
use crate::data_access::ProcessNotFound;
use crate::process::{
    BadInput, EXIT_BAD_INPUT, EXIT_FAILED, EXIT_UNSEEN, ExitUnseen, ExitWith, ProcessContext,
};
use crate::project_options::ON_AWS;

const AFTER_HELP: &str = "\
Examples:
  tickctl replay binance-BTCUSDT-2021-01-08.csv --format binance-trades --speed max
  tickctl replay kraken-XBTUSDT-trades.json --format kraken-trades --speed 60
  unzip -p BTCUSDT-trades-2025-01-08.zip | tickctl replay - --format binance-trades --symbol BTCUSDT
  tickctl load --rate 4000 --seconds 60
  tickctl load --rate 200 --batch 500 --seconds 60 --json
  tickctl compact --dry-run
  tickctl doctor
  tickctl status --watch
  tickctl server rollout 10 --why 'second stage'
  tickctl verify --from 1h
  tickctl backup --to http://127.0.0.1:8080
  tickctl replay --store --from 24h --into http://127.0.0.1:9090
  tickctl rebuild --from 24h --to 1h
  tickctl quarantine list --from 2h
  tickctl requeue redrive --aws
  tickctl cost --ticks-per-day 10M --tokens 5000
  tickctl rollout to canary
  tickctl rollout back

Exit codes:
  0  done
  1  failed: ticks not stored, request refused, stopped, unreadable files, errors under load, or differences
  2  a wrong option or an invalid file
  3  not everything could be seen, or there was nothing to see, so it is not known whether all is well; also if what
     only shows or compares something cannot ask the tickstream: it does not answer, or the token is wrong";

/// Operates a tickstream: checks it, sends it real trades, measures it under load, compacts its archive,
/// makes backups, controls its rollout on AWS, says what it costs there.
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
    /// Sends real trades from a file, or a range of stored ticks, to a tickstream or into the stream.
    Replay(replay::ReplayArgs),
    /// Computes candles again from the stored ticks.
    Rebuild(rebuild::RebuildArgs),
    /// Shows quarantined entries, and replays them once their cause is fixed.
    Quarantine(quarantine::QuarantineArgs),
    /// Sends messages of dead-letter queues (DLQs) on AWS back to where they can be processed.
    Requeue(requeue::RequeueArgs),
    /// Sends generated ticks at a fixed rate and reports the latency (open loop).
    Load(load::LoadArgs),
    /// Merges the archive's many small files into a few large sorted ones.
    Compact(compact::CompactArgs),
    /// Shows and changes the rollout of a running tickstream, and has it write its archive.
    Server(server::ServerArgs),
    /// Compares store, stream and archive, tick by tick.
    Verify(verify::VerifyArgs),
    /// Makes a backup of the data folder of a running tickstream.
    Backup(backup::BackupArgs),
    /// Checks everything that a tickstream needs, here or on AWS, with evidence and advice.
    Doctor(doctor::DoctorArgs),
    /// Shows rollout, rate, lag, ledger, malformed entries and the last changes, here or on AWS.
    Status(status::StatusArgs),
    /// Says what a month on AWS costs, by item.
    Cost(cost::CostArgs),
    /// Finds the anomalies of a series on standard input.
    Detect(detect::DetectArgs),
    /// Shows and changes the share of ticks that goes to the stream on AWS.
    #[cfg(feature = "aws")]
    Rollout(rollout::RolloutArgs),
}

impl Cli {
    /// Reads arguments. The first is the program's name.
    ///
    /// # Errors
    /// Those of clap, also for an option of AWS without `--aws`: it would have no effect, and what is said of this
    /// machine would look like an answer about the project.
    pub fn read<T: Into<OsString> + Clone>(
        arguments: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(arguments)?;
        check_project(&mut command, &matches)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// Refuses options of AWS without `--aws`, and the address of a tickstream with it. What is in the environment may be
/// there for other commands.
fn check_project(command: &mut clap::Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    let Some((name, matches)) = matches.subcommand() else {
        return Ok(());
    };
    let Some(command) = command.find_subcommand_mut(name) else {
        return Ok(());
    };
    let has = |id: &str| command.get_arguments().any(|it| it.get_id() == id);
    let is_passed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    if !has("aws") {
        return check_project(command, matches);
    }
    let is_aws = is_passed("aws");
    let of_aws = command
        .get_arguments()
        .filter(|it| it.get_help_heading() == Some(ON_AWS) && is_passed(it.get_id().as_str()));
    let refused = of_aws.filter_map(clap::Arg::get_long).find(|_| !is_aws);
    let rule = match refused {
        Some(option) => {
            format!("--{option} is for a project on AWS: pass --aws as well, or omit it")
        }
        None => {
            let of_machine = [("server", "--server"), ("data_dir", "--data-dir")];
            let passed = of_machine.iter().find(|(id, _)| has(id) && is_passed(id));
            let Some((_, option)) = passed.filter(|_| is_aws) else {
                return Ok(());
            };
            format!(
                "{option} is for a tickstream on one machine, and --aws for a project on AWS: pass one of them"
            )
        }
    };
    Err(command.error(ErrorKind::ArgumentConflict, rule))
}

impl Command {
    /// Whether it only shows or compares something: then a tickstream that cannot be asked is not a failure, but something
    /// that could not be seen.
    fn only_reads(&self) -> bool {
        match self {
            Self::Doctor(_) | Self::Status(_) => true,
            Self::Rebuild(args) => !args.apply,
            Self::Replay(args) => args.dry_run,
            Self::Quarantine(args) => args.only_reads(),
            Self::Server(args) => args.only_reads(),
            // It says itself that it could not be completed.
            Self::Verify(_)
            | Self::Requeue(_)
            | Self::Load(_)
            | Self::Compact(_)
            | Self::Backup(_)
            | Self::Cost(_)
            | Self::Detect(_) => false,
            #[cfg(feature = "aws")]
            Self::Rollout(_) => false,
        }
    }
}

/// Runs what only reads until it is done or stopped. Other commands decide themselves where they may be stopped.
async fn stoppable(
    stop: &CancellationToken,
    command: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let done = stop.run_until_cancelled(command).await;
    done.unwrap_or_else(|| Err(anyhow::anyhow!("stopped; nothing was changed")))
}

/// Whether an error is that of a tickstream that cannot be reached, does not answer, or does not know the token.
fn is_unanswered(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<ProcessNotFound>() || cause.downcast_ref().is_some_and(PostError::is_unanswered)
    })
}

/// Runs the subcommand, prints its error to stderr, and returns the exit code.
pub async fn run(cli: Cli, process: ProcessContext) -> ExitCode {
    let reads = cli.command.only_reads();
    let stop = process.stop.clone();
    let done = match cli.command {
        Command::Replay(args) => Box::pin(replay::run(args, process)).await,
        Command::Rebuild(args) => Box::pin(rebuild::run(args, process)).await,
        Command::Quarantine(args) if reads => {
            stoppable(&stop, Box::pin(quarantine::run(args, process))).await
        }
        Command::Quarantine(args) => Box::pin(quarantine::run(args, process)).await,
        Command::Requeue(args) => Box::pin(requeue::run(args, process)).await,
        Command::Load(args) => Box::pin(load::run(args, process)).await,
        Command::Compact(args) => Box::pin(compact::run(args, process)).await,
        Command::Server(args) if reads => stoppable(&stop, Box::pin(server::run(args))).await,
        Command::Server(args) => Box::pin(server::run(args)).await,
        Command::Backup(args) => Box::pin(backup::run(args, process)).await,
        Command::Verify(args) => Box::pin(verify::run(args, process)).await,
        Command::Doctor(args) => Box::pin(doctor::run(args, process)).await,
        Command::Status(args) => Box::pin(status::run(args, process)).await,
        Command::Cost(args) => cost::run(&args),
        Command::Detect(args) => Box::pin(detect::run(&args)).await,
        #[cfg(feature = "aws")]
        Command::Rollout(args) => Box::pin(rollout::run(args, process)).await,
    };
    let Err(error) = done else {
        return ExitCode::SUCCESS;
    };
    if let Some(ExitWith(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    eprintln!("tickctl: {error:#}");
    if let Some(advice) = advice(&error) {
        eprintln!("         do: {advice}");
    }
    if error.chain().any(|cause| cause.is::<BadInput>()) {
        ExitCode::from(EXIT_BAD_INPUT)
    } else if error.is::<ExitUnseen>()
        || error.chain().any(|cause| cause.is::<ExitUnseen>())
        || (reads && is_unanswered(&error))
    {
        ExitCode::from(EXIT_UNSEEN)
    } else {
        ExitCode::from(EXIT_FAILED)
    }
}

/// What to do about an error of AWS that a person can mend.
#[cfg(feature = "aws")]
fn advice(error: &anyhow::Error) -> Option<&'static str> {
    let mut causes = error.chain();
    causes.find_map(|cause| cause.downcast_ref::<aws::error::CallError>()?.advice())
}

#[cfg(not(feature = "aws"))]
fn advice(_: &anyhow::Error) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "aws")]
    #[test]
    fn an_error_of_aws_that_a_person_can_mend_comes_with_advice() {
        use anyhow::Context as _;
        use app::ports::PortError;

        let refused = |code: &str| {
            let call = aws::error::CallError::Refused {
                code: code.to_owned(),
                message: "no".to_owned(),
                status: 400,
                request_id: "R1".to_owned(),
            };
            let failed: Result<(), PortError> = Err(call.at("find a queue"));
            failed.context("prices-redrive-dlq").unwrap_err()
        };
        let missing = refused("QueueDoesNotExist");
        assert!(advice(&missing).unwrap().contains("AWS_REGION"));
        let text = format!("{missing:#}");
        assert!(
            text.starts_with("prices-redrive-dlq: find a queue failed: QueueDoesNotExist: no"),
            "{text}"
        );
        assert_eq!(advice(&refused("ThrottlingException")), None);
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[cfg(feature = "aws")]
    #[test]
    fn an_option_of_aws_is_not_ignored_without_aws() {
        let refusal = |line: &str| {
            let read = Cli::read(format!("tickctl {line}").split(' '));
            read.err().map(|error| error.to_string())
        };
        for line in [
            "verify --archive s3://x/y",
            "verify --athena",
            "verify --scan",
            "verify --temp-dir /tmp",
            "verify --from 1h --retention-days 90",
            "verify --estimate",
            "verify --project prices",
            "rebuild --from 2h --interval 5m",
            "rebuild --from 2h --retention-days 90",
            "rebuild --from 2h --project prices",
            "doctor --budget 500",
            "doctor --webhook https://h",
            "doctor --tokens 7",
            "status --bucket b",
            "status --webhook https://h",
            "replay --store --from 1h --into http://h --project prices",
            "requeue redrive --project prices",
        ] {
            let refused = refusal(line).unwrap_or_else(|| panic!("{line} is accepted"));
            assert!(refused.contains("pass --aws as well"), "{line}: {refused}");
            assert_eq!(refusal(&format!("{line} --aws")), None);
        }
        for line in [
            "doctor --aws --server http://h",
            "verify --aws --data-dir d",
            "requeue --aws --data-dir d",
        ] {
            let both = refusal(line).unwrap();
            assert!(both.contains("pass one of them"), "{line}: {both}");
        }
        assert_eq!(refusal("verify --from 1h"), None);
        // What all of AWS takes.
        assert_eq!(refusal("rollout --aws status --project prices"), None);
        assert_eq!(refusal("rollout to 10 --aws --archive s3://x/y"), None);
        assert_eq!(refusal("quarantine list --aws --project prices"), None);
        assert!(refusal("quarantine list --project prices").is_some());
        // All of it is on AWS.
        assert_eq!(refusal("rollout status --project prices"), None);
    }

    #[tokio::test]
    async fn what_only_reads_is_stopped_while_nobody_answers() {
        let stop = CancellationToken::new();
        let done = stoppable(&stop, async { Ok(()) }).await;
        assert!(done.is_ok());
        stop.cancel();
        let stopped = stoppable(&stop, std::future::pending()).await;
        let error = stopped.unwrap_err().to_string();
        assert!(error.contains("nothing was changed"), "{error}");
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
    }
}
