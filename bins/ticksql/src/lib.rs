//! The query runner for analysts: it runs statements on the archive, and writes answers to standard
//! output and everything else to standard error.

mod athena_bill;
mod atomic_file;
mod choose_engine;
mod cli;
mod cli_error;
mod commands;
#[cfg(feature = "aws")]
mod ddl;
mod destination;
mod engine;
mod environment;
mod execute;
mod exit_code;
mod explain;
mod format;
mod full_scan_guard;
mod history;
#[cfg(feature = "aws")]
mod init;
mod journal;
mod list;
mod named;
mod options;
mod outputs;
mod parse_args;
mod plot;
mod position;
mod progress;
mod query_failure;
mod render;
mod shell;
mod size;
mod source;
mod sql_tokens;
mod statement;
mod stop;
mod stop_reason;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::ExitCode;

use cli_error::CliError;
use outputs::Outputs;
use parse_args::parse_args;
use query_failure::QueryFailure;

/// Where a process reads and writes.
pub struct Streams<'a> {
    /// The statement, if the argument is `-` or missing.
    pub input: &'a mut dyn Read,
    /// The answer.
    pub output: &'a mut (dyn Write + Send),
    /// Everything else.
    pub status: &'a mut (dyn Write + Send),
}

/// Runs the command and returns the exit code, as `ticksql --help` lists them. Arguments that cannot be
/// parsed, `--help` and `--version` end the process.
pub fn run(args: impl IntoIterator<Item = OsString>, streams: Streams<'_>) -> ExitCode {
    let cli = match parse_args(args) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let Streams {
        input,
        output,
        status,
    } = streams;
    // One thread beside this one: it listens for signals while this one writes to a slow reader.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let mut outputs = Outputs {
                output,
                status: &mut *status,
            };
            let outcome = runtime.block_on(commands::run(&cli, input, &mut outputs));
            // Background work does not delay the exit.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(QueryFailure::from(CliError::Start(error))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.error.is_reader_gone() => ExitCode::SUCCESS,
        Err(failure) => {
            // If standard error is closed, the exit code still reports it.
            if !failure.is_reported {
                _ = status.write_all(failure.message().as_bytes());
            }
            ExitCode::from(failure.error.exit_code())
        }
    }
}
