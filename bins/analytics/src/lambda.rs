//! Wiring: the ports on AWS, and the handler in the Lambda runtime.

use std::sync::Arc;
use std::time::Duration;

use app::ports::Clock;
use aws::dynamodb::AnalyticsTable;
use aws::emf::InvocationMetrics;
use aws::s3::S3Quarantine;
use aws::sns::SnsTopic;
use aws::sqs::SqsFeed;
use aws::{client, clients, dynamodb};

use crate::config::Config;
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
    let table = AnalyticsTable::new(
        clients::dynamodb(&sdk),
        config.analytics_table,
        config.retention_days,
        dynamodb::analytics::TIMEOUT,
        Arc::clone(&clock),
    );
    let metrics = Arc::new(InvocationMetrics::new(
        std::io::stdout(),
        Arc::clone(&clock),
        config.function_name,
    ));
    let analytics = Analytics::new(
        Arc::new(table.with_metrics(Arc::clone(&metrics))),
        Arc::new(SqsFeed::new(
            &clients::sqs(&sdk),
            config.broadcast_queue_url,
            FEED_TIMEOUT,
            Arc::new(anomalies),
        )),
        Arc::new(S3Quarantine::new(&clients::s3(&sdk), config.archive_bucket)),
        clock,
        metrics,
    );
    runtime::lambda::serve(async |event| analytics.handle(event).await).await
}
