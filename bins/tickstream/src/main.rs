//! `tickstream`: the whole flow in one process, on embedded storage.

use clap::Parser;
use runtime::{host, telemetry};
use tickstream::config::Config;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    telemetry::start(&config.log, telemetry::LogFormat::detect())?;
    let server = tickstream::Server::start(config).await?;
    server.greet();
    server.run(host::stop_signal()).await
}
