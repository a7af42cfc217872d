//! The operators' command line. Run `tickctl --help`.

use std::process::ExitCode;

use runtime::host::stop_signal;
use tickctl::cli::Cli;
use tickctl::process::ProcessContext;
use tokio_util::sync::CancellationToken;

// One thread, since a load test often shares its machine with the server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signal(stop.clone()));
    tickctl::cli::run(
        Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit()),
        ProcessContext {
            now_ms: runtime::clock::now_ms,
            stop,
        },
    )
    .await
}

/// The first Ctrl-C or SIGTERM lets the command end with its report; the second ends the process.
async fn cancel_on_signal(stop: CancellationToken) {
    if stop_signal().await.is_ok() {
        stop.cancel();
    }
}
