//! The query runner for analysts. Run `ticksql --help`.

use std::io::{stderr, stdin, stdout};
use std::process::ExitCode;

use clap::Parser as _;
use ticksql::Streams;
use ticksql::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let streams = Streams {
        input: &mut stdin(),
        output: &mut stdout(),
        status: &mut stderr(),
    };
    ticksql::run(&cli, streams)
}
