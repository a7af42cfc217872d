//! Wiring: the ports on AWS, and the handler in the Lambda runtime.

use std::sync::Arc;

use anyhow::Context as _;
use aws::shards::KinesisShards;
use aws::stream_metrics::CloudWatchStreamMetrics;
use aws::{client, clients};
use ops::scaling::Scaling;

use crate::config::Config;
use crate::handler::Scaler;
use crate::metric::ShardMetric;

/// Serves events until Lambda ends the process.
///
/// # Errors
/// When the limits contradict each other, or the Lambda Runtime API fails.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let limits = config.limits().context("SHARDS_MIN and SHARDS_MAX")?;
    let mode = config.mode();
    let sdk = client::config(client::BATCH).await;
    let scaler = Scaler {
        scaling: Scaling {
            shards: Arc::new(KinesisShards::new(
                &clients::kinesis(&sdk),
                &config.stream_name,
            )),
            metrics: Arc::new(CloudWatchStreamMetrics::new(
                &clients::cloudwatch(&sdk),
                &config.stream_name,
                &config.function_name,
            )),
            limits,
            mode,
        },
        metric: ShardMetric::new(std::io::stdout(), config.function_name),
        clock: Arc::new(runtime::clock::now_ms),
    };
    runtime::lambda::serve(async |event| scaler.handle(event).await).await
}
