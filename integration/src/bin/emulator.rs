//! Starts the emulated AWS of the integration tests by hand: `cargo run -p integration --bin emulator`.

use clap::Parser as _;
use integration::emulator::{holder, settings::Settings};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    holder::hold(&Settings::parse()).await
}
