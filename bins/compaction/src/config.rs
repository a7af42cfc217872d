//! The settings of the function, from flags or the environment.

use std::path::PathBuf;

use clap::Parser;
use runtime::lambda::{Common, Settings};

/// Lambda function that merges the archive's small files of each closed day, and archives anomalies.
#[derive(Debug, Parser)]
#[command(name = "compaction", version)]
pub struct Config {
    /// The archive: `s3://BUCKET/price-archive/`.
    #[arg(long, env = "ARCHIVE_URL")]
    pub archive_url: String,

    /// The table of the analysis, which has the anomalies.
    #[arg(long, env = "ANALYTICS_TABLE")]
    pub analytics_table: String,

    /// The archive of anomalies: `s3://BUCKET/anomalies/`.
    #[arg(long, env = "ANOMALIES_URL")]
    pub anomalies_url: String,

    /// How many days before today are compacted. Late ticks rarely belong to earlier days; compact those with
    /// `tickctl compact`.
    #[arg(long, env = "COMPACTION_DAYS", default_value_t = 35,
          value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub compaction_days: u32,

    /// After how many seconds the run stops, leaving the current day unchanged. Must be less than the function's
    /// timeout of 900 seconds.
    #[arg(long, env = "COMPACTION_SECONDS", default_value_t = 840,
          value_parser = clap::value_parser!(u32).range(1..=890))]
    pub compaction_seconds: u32,

    /// The working folder, with room for about three times the largest day.
    #[arg(long, env = "WORK_DIR", default_value = "/tmp")]
    pub work_dir: PathBuf,

    /// The settings that all functions share.
    #[command(flatten)]
    pub common: Common,
}

impl Settings for Config {
    fn common(&self) -> &Common {
        &self.common
    }
}
