//! Lambda function that adjusts the number of shards to the load, within limits.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::lambda::main(scaler::lambda::run)
}
