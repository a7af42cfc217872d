//! The settings of the function, from flags or the environment.

use clap::Parser;
use runtime::lambda::{Common, Settings};

/// Lambda function that computes averages, candles and anomalies from batches of the stream.
#[derive(Debug, Parser)]
#[command(name = "analytics", version)]
pub struct Config {
    /// DynamoDB table of states, candles and anomalies.
    #[arg(long, env = "ANALYTICS_TABLE")]
    pub analytics_table: String,

    /// Queue that brings results to live subscribers.
    #[arg(long, env = "BROADCAST_QUEUE_URL")]
    pub broadcast_queue_url: String,

    /// Topic that notifies people of anomalies.
    #[arg(long, env = "ANOMALIES_TOPIC_ARN")]
    pub anomalies_topic_arn: String,

    /// Bucket whose prefix `quarantine/` holds records that are not ticks.
    #[arg(long, env = "ARCHIVE_BUCKET")]
    pub archive_bucket: String,

    /// How many days candles and anomalies are kept.
    #[arg(long, env = "RETENTION_DAYS", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub retention_days: u32,

    /// The function's name, which Lambda sets: its metrics are reported under it.
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
