//! Lambda function that computes averages, candles and anomalies from batches of the stream.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::lambda::main(analytics::lambda::run)
}
