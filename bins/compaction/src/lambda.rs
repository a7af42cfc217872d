//! Wiring: the archive on S3, and the handler in the Lambda runtime.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws::archive::S3Objects;
use aws::client;
use serde::de::IgnoredAny;

use crate::config::Config;
use crate::handler::ClosedDays;

/// Serves events until Lambda ends the process.
///
/// # Errors
/// When the archive's address is none, or the Lambda Runtime API fails.
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
    // The schedule's event says nothing.
    runtime::lambda::serve(async |_: IgnoredAny| closed_days.compact().await).await
}
