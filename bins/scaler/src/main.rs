//! Lambda: alarms move the number of shards inside its limits.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::lambda::main(scaler::lambda::run)
}
