//! Lambda function that appends ticks which the stream refused to it again.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::lambda::main(redrive::lambda::run)
}
