//! The command line: its subcommands and exit codes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "aws")]
use crate::commands::rollout;
use crate::commands::{backup, compact, cost, detect, load, replay, server};
use crate::process::{BadInput, ProcessContext};

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
  tickctl server rollout 10 --why 'second stage'
  tickctl backup --to http://127.0.0.1:8080
  tickctl cost --ticks-per-day 10M --tokens 5000
  tickctl rollout to canary
  tickctl rollout back

Exit codes:
  0  done
  1  failed: ticks not stored, request refused, stopped, unreadable files, or errors under load
  2  a wrong option or an invalid file";

/// Operates a tickstream: sends it real trades, measures it under load, compacts its archive, makes
/// backups, controls its rollout on AWS, says what it costs there.
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
    /// Shows and changes the rollout of a running tickstream, and has it write its archive.
    Server(server::ServerArgs),
    /// Makes a backup of the data folder of a running tickstream.
    Backup(backup::BackupArgs),
    /// Says what a month on AWS costs, by item.
    Cost(cost::CostArgs),
    /// Finds the anomalies of a series on standard input.
    Detect(detect::DetectArgs),
    /// Shows and changes the share of ticks that goes to the stream on AWS.
    #[cfg(feature = "aws")]
    Rollout(rollout::RolloutArgs),
}

/// Runs the subcommand, prints its error to stderr, and returns the exit code.
pub async fn run(cli: Cli, process: ProcessContext) -> ExitCode {
    let done = match cli.command {
        Command::Replay(args) => Box::pin(replay::run(args, process)).await,
        Command::Load(args) => Box::pin(load::run(args, process)).await,
        Command::Compact(args) => Box::pin(compact::run(args, process)).await,
        Command::Server(args) => Box::pin(server::run(args)).await,
        Command::Backup(args) => Box::pin(backup::run(args, process)).await,
        Command::Cost(args) => cost::run(&args),
        Command::Detect(args) => detect::run(&args),
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
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
