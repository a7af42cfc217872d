//! `tickstream`: the whole flow in one process, on embedded storage.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use runtime::{causes, host, telemetry};
use tickstream::Ended;
use tickstream::config::Config;

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
        Ended::Recovered => Err(start_again()),
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

/// Replaces this process by a new one with the same arguments, which opens the store again. Only returns if that
/// fails.
fn start_again() -> anyhow::Error {
    tracing::info!("starting again, since the disk accepts writes again");
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let mut command = std::process::Command::new(&program);
    command.args(arguments);
    #[cfg(unix)]
    let failed = std::os::unix::process::CommandExt::exec(&mut command);
    #[cfg(not(unix))]
    let failed = std::io::Error::from(std::io::ErrorKind::Unsupported);
    anyhow::Error::new(failed).context("the store must be opened again: start tickstream again")
}

fn run(config: Config) -> anyhow::Result<Ended> {
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
