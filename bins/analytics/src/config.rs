//! The settings of the function, from flags or the environment.

use clap::Parser;
use domain::analytics::Interval;
use domain::detection::ReportsPerDay;
use runtime::lambda::{Common, Settings};

/// Lambda function that computes averages, candles and anomalies from batches of the stream.
#[derive(Debug, Parser)]
#[command(name = "analytics", version)]
pub struct Config {
    /// The stream, which is read again after a cold start.
    #[arg(long, env = "STREAM_NAME")]
    pub stream_name: String,

    /// DynamoDB table of candles, anomalies, and how far each shard is analysed.
    #[arg(long, env = "ANALYTICS_TABLE")]
    pub analytics_table: String,

    /// Queue that brings results to live subscribers.
    #[arg(long, env = "BROADCAST_QUEUE_URL")]
    pub broadcast_queue_url: String,

    /// Topic that notifies people of anomalies.
    #[arg(long, env = "ANOMALIES_TOPIC_ARN")]
    pub anomalies_topic_arn: String,

    /// Bucket with the snapshots of the analysis (`analytics-snapshots/`) and the records that are not ticks
    /// (`quarantine/`).
    #[arg(long, env = "ARCHIVE_BUCKET")]
    pub archive_bucket: String,

    /// The candles that are stored: `1s`, `1m` or `5m`. Longer ones are merged from these when they are read.
    #[arg(long, env = "CANDLE_INTERVAL", default_value = "1m", value_parser = stored_interval)]
    pub candle_interval: Interval,

    /// How many seconds after their ten minutes have ended candles are stored: later ticks of them need a read and
    /// another write.
    #[arg(long, env = "CANDLE_DELAY_SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub candle_delay_seconds: u32,

    /// About how many anomalies a day a quiet series of prices may have at most.
    #[arg(long, env = "ANOMALY_REPORTS_PER_DAY", default_value = "1")]
    pub anomaly_reports_per_day: ReportsPerDay,

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

/// An hour does not fit into a block of candles.
fn stored_interval(text: &str) -> Result<Interval, String> {
    match text.parse() {
        Ok(Interval::OneHour) => {
            Err("use 1s, 1m or 5m: candles of an hour are merged from these".to_owned())
        }
        Ok(interval) => Ok(interval),
        Err(error) => Err(format!("{error}")),
    }
}
