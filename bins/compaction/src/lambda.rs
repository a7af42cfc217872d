//! Wiring: the archive on S3, the anomalies in DynamoDB, and the handler in the Lambda runtime.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use archive::AnomalyArchive;
use aws::archive::S3Objects;
use aws::dynamodb::UnarchivedDays;
use aws::{client, clients};

use crate::config::Config;
use crate::event::Tasks;
use crate::handler::ClosedDays;

/// Serves events until Lambda ends the process.
///
/// # Errors
/// When an address is not one of S3, or the Lambda Runtime API fails.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let sdk = client::config(client::BATCH).await;
    let objects = S3Objects::at(&sdk, &config.archive_url).context("ARCHIVE_URL")?;
    let closed_days = ClosedDays {
        objects: Arc::new(objects),
        clock: Arc::new(runtime::clock::now_ms),
        days: config.compaction_days,
        time: Duration::from_secs(config.compaction_seconds.into()),
        work: config.work_dir,
    };
    let anomalies = S3Objects::at(&sdk, &config.anomalies_url).context("ANOMALIES_URL")?;
    let unarchived = UnarchivedDays::new(&clients::dynamodb(&sdk), config.analytics_table);
    let tasks = Tasks {
        closed_days,
        anomalies: AnomalyArchive::new(Arc::new(anomalies)),
        unarchived: Box::new(unarchived),
    };
    runtime::lambda::serve(async |event| tasks.handle(event).await).await
}
