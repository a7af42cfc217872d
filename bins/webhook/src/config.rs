//! The Lambda's configuration, from flags or the environment.

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};
use domain::{Percentage, Rollout, RolloutKey};
use runtime::lambda::{Common, Settings};
use secrecy::SecretString;

use crate::source_options::SourceOptions;

/// Lambda: a delivery is authenticated, parsed, stored, and offered to the stream.
#[derive(Debug, Parser)]
#[command(name = "webhook", version)]
pub struct Config {
    /// DynamoDB table of ticks.
    #[arg(long, env = "TICKS_TABLE")]
    pub ticks_table: String,

    /// The Kinesis stream.
    #[arg(long, env = "STREAM_NAME")]
    pub stream_name: String,

    /// Queue of stored ticks for the live feed.
    #[arg(long, env = "BROADCAST_QUEUE_URL")]
    pub broadcast_queue_url: String,

    /// Queue for the ticks that the stream refused.
    #[arg(long, env = "REDRIVE_QUEUE_URL")]
    pub redrive_queue_url: String,

    /// Bucket whose prefix `quarantine/` keeps what could not become a tick.
    #[arg(long, env = "ARCHIVE_BUCKET")]
    pub archive_bucket: String,

    /// Topic that notifies people of malformed entries, at most once a minute and instance.
    #[arg(long, env = "MALFORMED_TOPIC_ARN")]
    pub malformed_topic_arn: String,

    /// Master switch of the stream: true or false.
    #[arg(long, env = "USE_KINESIS", action = ArgAction::Set, default_value = "true",
          value_parser = BoolishValueParser::new())]
    pub use_kinesis: bool,

    /// Share of the ticks that goes to the stream, 0 to 100 with at most two decimals.
    #[arg(
        long,
        env = "KINESIS_PERCENTAGE",
        default_value = "0",
        value_name = "PERCENT"
    )]
    pub kinesis_percentage: Percentage,

    /// What the share is selected by: `tick` or `token`.
    #[arg(
        long,
        env = "KINESIS_ROLLOUT_KEY",
        default_value = "tick",
        value_name = "KEY"
    )]
    pub kinesis_rollout_key: RolloutKey,

    /// Name of the SSM parameter that overrides the share above, and takes effect within
    /// seconds of a change. `USE_KINESIS=false` wins over it.
    #[arg(long, env = "ROLLOUT_PARAMETER")]
    pub rollout_parameter: Option<String>,

    /// Secrets of the senders, comma separated. Several may be active, so they can be rotated.
    /// `whsec_…` and `whpk_…` are Standard Webhooks keys, any other is the `Authorization` echo.
    #[arg(
        long,
        env = "WEBHOOK_SECRETS",
        hide_env_values = true,
        required_unless_present = "webhook_secrets_parameter",
        conflicts_with = "webhook_secrets_parameter"
    )]
    pub webhook_secrets: Option<SecretString>,

    /// Name of an SSM parameter (a SecureString) with the secrets, instead of the option above.
    #[arg(long, env = "WEBHOOK_SECRETS_PARAMETER")]
    pub webhook_secrets_parameter: Option<String>,

    /// Timeout in milliseconds for stream and broadcast queue in a delivery, and the least for the
    /// store, which has 500 ms, and more for deliveries of more than 500 ticks. Ticks that the stream has not accepted by then go to the redrive queue. A sender such as Helius waits one
    /// second for a response.
    #[arg(long, env = "OFFER_WITHIN_MS", default_value_t = 400,
          value_parser = clap::value_parser!(u64).range(50..=3_000))]
    pub offer_within_ms: u64,

    /// Days that ticks are kept.
    #[arg(long, env = "RETENTION_DAYS", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub retention_days: u32,

    /// From which event time on ticks get ids of version 1.1, in epoch milliseconds: 0 for a new
    /// stack; after an upgrade from 1.0, a moment when all old webhooks have ended.
    #[arg(long, env = "NEW_IDS_FROM_MS", default_value_t = 0)]
    pub new_ids_from_ms: i64,

    /// What is set about the sources.
    #[command(flatten)]
    pub sources: SourceOptions,

    /// The function's name, which Lambda sets: its metrics are reported under it.
    #[arg(long, env = "AWS_LAMBDA_FUNCTION_NAME")]
    pub function_name: String,

    /// SHA-256 of the code, which `GET /healthz` returns to show what is deployed.
    #[arg(long, env = "CODE_SHA256")]
    pub code_sha256: Option<String>,

    /// The settings of every function.
    #[command(flatten)]
    pub common: Common,
}

impl Config {
    /// The flag according to the environment.
    #[must_use]
    pub fn rollout(&self) -> Rollout {
        Rollout {
            use_kinesis: self.use_kinesis,
            percentage: self.kinesis_percentage,
            key: self.kinesis_rollout_key,
        }
    }
}

impl Settings for Config {
    fn common(&self) -> &Common {
        &self.common
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &[&str]) -> Result<Config, String> {
        let line = "webhook --ticks-table t --stream-name s --broadcast-queue-url b \
                    --redrive-queue-url r --archive-bucket a --malformed-topic-arn m \
                    --function-name f";
        let line = line.split_whitespace().chain(more.iter().copied());
        Config::try_parse_from(line).map_err(|error| error.to_string())
    }

    #[test]
    fn without_secrets_it_is_refused() {
        let refused = parse(&[]).unwrap_err();
        assert!(refused.contains("--webhook-secrets"), "{refused}");
        let both = [
            "--webhook-secrets",
            "open-sesame-1234",
            "--webhook-secrets-parameter",
            "/p",
        ];
        assert!(parse(&both).is_err());
        let config = parse(&["--webhook-secrets", "open-sesame-1234"]).unwrap();
        assert!(!format!("{config:?}").contains("open-sesame-1234"));
    }

    #[test]
    fn the_share_is_0_by_default() {
        let config = parse(&["--webhook-secrets-parameter", "/p"]).unwrap();
        assert_eq!(config.rollout().percentage, Percentage::ZERO);
        for flag in [
            ["--kinesis-percentage", "ten"],
            ["--kinesis-percentage", "100.5"],
            ["--use-kinesis", "maybe"],
            ["--kinesis-rollout-key", "pair"],
        ] {
            let more = ["--webhook-secrets-parameter", "/p", flag[0], flag[1]];
            assert!(parse(&more).is_err(), "{flag:?}");
        }
    }
}
