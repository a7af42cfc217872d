//! What the function is told, by flags or by the environment.

use clap::Parser;
use runtime::lambda::{Common, Settings};

/// Lambda: batches of the stream become averages, candles and anomalies.
#[derive(Debug, Parser)]
#[command(name = "analytics", version)]
pub struct Config {
    /// DynamoDB table of states, candles and anomalies.
    #[arg(long, env = "ANALYTICS_TABLE")]
    pub analytics_table: String,

    /// Queue that brings results to those who watch live.
    #[arg(long, env = "BROADCAST_QUEUE_URL")]
    pub broadcast_queue_url: String,

    /// Topic that tells people of anomalies.
    #[arg(long, env = "ANOMALIES_TOPIC_ARN")]
    pub anomalies_topic_arn: String,

    /// Bucket whose prefix `quarantine/` keeps records that are no ticks.
    #[arg(long, env = "ARCHIVE_BUCKET")]
    pub archive_bucket: String,

    /// Days that candles and anomalies are kept.
    #[arg(long, env = "RETENTION_DAYS", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub retention_days: u32,

    /// What every function is told.
    #[command(flatten)]
    pub common: Common,
}

impl Settings for Config {
    fn common(&self) -> &Common {
        &self.common
    }
}
