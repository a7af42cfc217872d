//! The settings of the function, from flags or the environment.

use clap::Parser;
use runtime::lambda::{Common, Settings};

/// Lambda function that appends ticks which the stream refused to it again.
#[derive(Debug, Parser)]
#[command(name = "redrive", version)]
pub struct Config {
    /// The Kinesis stream.
    #[arg(long, env = "STREAM_NAME")]
    pub stream_name: String,

    /// Bucket whose prefix `quarantine/` holds messages that are not ticks.
    #[arg(long, env = "ARCHIVE_BUCKET")]
    pub archive_bucket: String,

    /// The function's name, which Lambda sets. It is the dimension of the metrics.
    #[arg(long, env = "AWS_LAMBDA_FUNCTION_NAME")]
    pub function_name: String,

    /// The settings that all functions share.
    #[command(flatten)]
    pub common: Common,
}

impl Settings for Config {
    fn common(&self) -> &Common {
        &self.common
    }
}
