//! The query runner for analysts. Run `ticksql --help`.

use std::env::args_os;
use std::io::{stderr, stdin, stdout};
use std::process::ExitCode;

use ticksql::Streams;
use ticksql::cli;

fn main() -> ExitCode {
    let cli = match cli::parse(args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let streams = Streams {
        input: &mut stdin(),
        output: &mut stdout(),
        status: &mut stderr(),
    };
    ticksql::run(&cli, streams)
}
