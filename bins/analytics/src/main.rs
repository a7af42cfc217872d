//! Lambda: batches of the stream become averages, candles and anomalies.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::lambda::main(analytics::lambda::run)
}
