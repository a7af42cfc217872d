//! `tickstream`: the whole flow in one process, on embedded storage.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use runtime::{causes, host, telemetry};
use tickstream::config::Config;

/// Bursts of large requests leave the system's allocator with most of their pages; this one gives
/// them back. Its settings are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long what still reads or writes the disk may go on after an orderly end. It is seen through
/// at the next start: what was answered is on the disk.
const EXIT_WITHIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    match run(Config::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not by `Debug`, which adds the program's own stack if RUST_BACKTRACE is set.
            eprintln!("tickstream: {}", causes::joined(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    telemetry::start(&config.log, telemetry::LogFormat::detect())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    let ended = runtime.block_on(async {
        let server = tickstream::Server::start(config).await?;
        server.greet();
        server.run(host::stop_signal()).await
    });
    runtime.shutdown_timeout(EXIT_WITHIN);
    ended
}
