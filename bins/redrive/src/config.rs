//! What the function is told, by flags or by the environment.

use clap::Parser;
use runtime::lambda::{Common, Settings};

/// Lambda: ticks that the stream refused go back into it.
#[derive(Debug, Parser)]
#[command(name = "redrive", version)]
pub struct Config {
    /// The Kinesis stream.
    #[arg(long, env = "STREAM_NAME")]
    pub stream_name: String,

    /// Bucket whose prefix `quarantine/` keeps messages that are no ticks.
    #[arg(long, env = "ARCHIVE_BUCKET")]
    pub archive_bucket: String,

    /// What every function is told.
    #[command(flatten)]
    pub common: Common,
}

impl Settings for Config {
    fn common(&self) -> &Common {
        &self.common
    }
}
