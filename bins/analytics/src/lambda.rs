//! Wiring: the ports on AWS, and the handler in the Lambda runtime.

use std::sync::Arc;
use std::time::Duration;

use app::ports::Clock;
use app::replay::{Replayable, Settings};
use aws::archive::S3Objects;
use aws::dynamodb::candle_blocks::TIMEOUT;
use aws::dynamodb::shard_heads::SNAPSHOT_PREFIX;
use aws::dynamodb::{CandleTable, ShardCheckpoints};
use aws::emf::InvocationMetrics;
use aws::kinesis::shard_log::KinesisLog;
use aws::s3::S3Quarantine;
use aws::sns::SnsTopic;
use aws::sqs::SqsFeed;
use aws::{client, clients};
use domain::analytics::AnalysisConfig;

use crate::config::Config;
use crate::event;
use crate::handler::Analytics;

/// How long sending a batch's results to the broadcast queue may take; no caller waits for it.
const FEED_TIMEOUT: Duration = Duration::from_secs(3);

/// Serves events until Lambda ends the process.
///
/// # Errors
/// When the Lambda Runtime API fails.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let sdk = client::config(client::BATCH).await;
    let clock: Arc<dyn Clock> = Arc::new(runtime::clock::now_ms);
    let anomalies = SnsTopic::new(&clients::sns(&sdk), config.anomalies_topic_arn);
    let metrics = Arc::new(InvocationMetrics::new(
        std::io::stdout(),
        Arc::clone(&clock),
        config.function_name,
    ));
    let (dynamodb, s3) = (clients::dynamodb(&sdk), clients::s3(&sdk));
    let (table, days) = (config.analytics_table, config.retention_days);
    let candles = CandleTable::new(&dynamodb, table.clone(), days, TIMEOUT, Arc::clone(&clock));
    let analysis = Replayable {
        checkpoints: Arc::new(ShardCheckpoints::new(
            (&dynamodb, table),
            Arc::new(S3Objects::new(
                &s3,
                config.archive_bucket.clone(),
                SNAPSHOT_PREFIX,
            )),
            days,
            TIMEOUT,
            Arc::clone(&clock),
        )),
        blocks: Arc::new(candles.with_metrics(Arc::clone(&metrics))),
        log: Arc::new(KinesisLog::new(&clients::kinesis(&sdk), config.stream_name)),
        feed: Arc::new(SqsFeed::new(
            &clients::sqs(&sdk),
            config.broadcast_queue_url,
            FEED_TIMEOUT,
            Arc::new(anomalies),
        )),
        clock: Arc::clone(&clock),
        settings: Settings {
            interval: config.candle_interval,
            delay_ms: i64::from(config.candle_delay_seconds) * 1_000,
            analysis: AnalysisConfig::with_reports_per_day(config.anomaly_reports_per_day),
            ..Settings::default()
        },
    };
    let quarantine = Arc::new(S3Quarantine::new(&s3, config.archive_bucket));
    let analytics = Analytics::new(analysis, quarantine, clock, metrics);
    runtime::lambda::serve(async |event| event::handle(&analytics, event).await).await
}
