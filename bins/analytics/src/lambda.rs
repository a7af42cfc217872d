//! The wiring: ports on AWS, and the handler behind the Lambda runtime.

use std::sync::Arc;
use std::time::Duration;

use app::ports::Clock;
use aws::dynamodb::AnalyticsTable;
use aws::s3::S3Quarantine;
use aws::sns::SnsTopic;
use aws::sqs::SqsFeed;
use aws::{client, clients, dynamodb};

use crate::config::Config;
use crate::handler::Analytics;

/// How long the broadcast queue has for a batch's results: nobody waits for an answer here.
const FEED_WITHIN: Duration = Duration::from_secs(3);

/// Serves events until Lambda ends the process.
///
/// # Errors
/// Where the Lambda runtime interface fails.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let sdk = client::config(client::WORKING).await;
    let clock: Arc<dyn Clock> = Arc::new(runtime::clock::now_ms);
    let anomalies = SnsTopic::new(&clients::sns(&sdk), config.anomalies_topic_arn);
    let analytics = Analytics::new(
        Arc::new(AnalyticsTable::new(
            clients::dynamodb(&sdk),
            config.analytics_table,
            config.retention_days,
            dynamodb::analytics::WORK_FOR,
            Arc::clone(&clock),
        )),
        Arc::new(SqsFeed::new(
            &clients::sqs(&sdk),
            config.broadcast_queue_url,
            FEED_WITHIN,
            Arc::new(anomalies),
        )),
        Arc::new(S3Quarantine::new(&clients::s3(&sdk), config.archive_bucket)),
        clock,
    );
    runtime::lambda::serve(async |event| analytics.handle(event).await).await
}
