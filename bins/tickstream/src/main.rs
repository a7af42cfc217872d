//! `tickstream`: the whole flow in one process, on embedded storage.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use runtime::{causes, host, telemetry};
use tickstream::config::Config;
use tickstream::{Ended, own_process};

/// The system's allocator keeps most of the pages of large bursts; this one returns them. Its settings
/// are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long tasks that still read or write the disk may continue after a graceful stop. The next start
/// completes their work; everything that was acknowledged is on disk.
const EXIT_WITHIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let ended = run(Config::parse()).and_then(|ended| match ended {
        Ended::Stopped => Ok(()),
        Ended::Recovered => Err(own_process::start_again()),
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not with `Debug`, which adds a backtrace if RUST_BACKTRACE is set.
            eprintln!("tickstream: {}", causes::joined(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<Ended> {
    telemetry::start(&config.log, telemetry::LogFormat::detect())?;
    own_process::warn_of_secrets_in_arguments();
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
