//! The settings of the function, from flags or the environment.

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};
use ops::scaling::{Mode, ShardLimits, ShardLimitsError};
use runtime::lambda::{Common, Settings};

/// Lambda function that adjusts the number of shards to the load, within limits.
#[derive(Debug, Parser)]
#[command(name = "scaler", version)]
pub struct Config {
    /// The Kinesis stream, in provisioned mode.
    #[arg(long, env = "STREAM_NAME")]
    pub stream_name: String,

    /// The smallest number of shards that is set.
    #[arg(long, env = "SHARDS_MIN", default_value_t = 2)]
    pub shards_min: u32,

    /// The largest number of shards that is set.
    #[arg(long, env = "SHARDS_MAX", default_value_t = 10)]
    pub shards_max: u32,

    /// Only log what would be done: true or false.
    #[arg(long, env = "DRY_RUN", action = ArgAction::Set, default_value = "false",
          value_parser = BoolishValueParser::new())]
    pub dry_run: bool,

    /// The function's name, which Lambda sets. It is the dimension of the metrics.
    #[arg(long, env = "AWS_LAMBDA_FUNCTION_NAME")]
    pub function_name: String,

    /// The settings that all functions share.
    #[command(flatten)]
    pub common: Common,
}

impl Config {
    /// The limits.
    ///
    /// # Errors
    /// [`ShardLimitsError`] if they contradict each other.
    pub fn limits(&self) -> Result<ShardLimits, ShardLimitsError> {
        ShardLimits::new(self.shards_min, self.shards_max)
    }

    /// Whether changes are made.
    #[must_use]
    pub fn mode(&self) -> Mode {
        if self.dry_run {
            Mode::DryRun
        } else {
            Mode::Apply
        }
    }
}

impl Settings for Config {
    fn common(&self) -> &Common {
        &self.common
    }
}
