//! Starts the emulated AWS of the integration tests by hand: `cargo run -p integration --bin emulator`.

use clap::Parser as _;
use integration::emulator::{holder, options::EmulatorOptions};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    holder::hold(&EmulatorOptions::parse()).await
}
