//! Lambda function that merges the archive's small files of each closed day.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::lambda::main(compaction::lambda::run)
}
