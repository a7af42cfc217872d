//! The query runner for analysts. Run `ticksql --help`.

use std::env::args_os;
use std::io::{stderr, stdin, stdout};
use std::process::ExitCode;

use ticksql::Streams;

fn main() -> ExitCode {
    let streams = Streams {
        input: &mut stdin(),
        output: &mut stdout(),
        status: &mut stderr(),
    };
    ticksql::run(args_os(), streams)
}
