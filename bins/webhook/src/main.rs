//! The webhook as a Lambda.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::lambda::main(webhook::lambda::run)
}
