//! The operators' command line. Run `tickctl --help`.

use std::process::ExitCode;

use clap::Parser as _;
use tickctl::cli::{Cli, World};
use tokio_util::sync::CancellationToken;

/// What a shell reports for a process that an interrupt ended.
const EXIT_INTERRUPTED: i32 = 130;

// One thread: the load shares its machine with the server it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_interrupt(stop.clone()));
    tickctl::cli::run(
        Cli::parse(),
        World {
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
