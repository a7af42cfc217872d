//! Lambda: queued ticks and results go to the connections of the WebSocket API.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::lambda::main(broadcast::lambda::run)
}
