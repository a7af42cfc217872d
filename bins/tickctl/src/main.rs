//! The operators' command line. Run `tickctl --help`.

use std::process::ExitCode;

use tickctl::cli::Cli;
use tickctl::process::ProcessContext;
use tokio_util::sync::CancellationToken;

/// The exit code that shells use for an interrupted process.
const EXIT_INTERRUPTED: i32 = 130;

// One thread, since a load test often shares its machine with the server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_interrupt(stop.clone()));
    tickctl::cli::run(
        Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit()),
        ProcessContext {
            now_ms: runtime::clock::now_ms,
            stop,
        },
    )
    .await
}

/// The first Ctrl-C lets the command end with its report; the second ends the process.
async fn cancel_on_interrupt(stop: CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.cancel();
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(EXIT_INTERRUPTED);
        }
    }
}
