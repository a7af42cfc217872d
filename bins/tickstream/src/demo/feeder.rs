//! Feeds the built-in market to the write path, as if it had been posted.

use std::time::Duration;

use app::ingest::{Ingest, IngestError};
use tokio_util::sync::CancellationToken;

use super::{DemoSource, Market};
use crate::supervisor::{Failure, Progress};

/// How often the market delivers.
const EVERY: Duration = Duration::from_millis(100);

/// Feeds until stopped.
pub(crate) async fn feed(
    ingest: Ingest,
    seed: u64,
    progress: Progress,
    stopping: CancellationToken,
) -> Result<(), Failure> {
    let mut market = Market::new(seed, ingest.clock.now_ms());
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        for delivery in market.next_deliveries(ingest.clock.now_ms()) {
            let Some(source) = DemoSource::find(delivery.source) else {
                continue;
            };
            match ingest.deliver(&source, &delivery.body).await {
                // The market sends malformed entries on purpose.
                Ok(_) | Err(IngestError::Unreadable(_)) => {}
                Err(IngestError::NotStored(error)) => {
                    tracing::warn!(cause = %error.source, "a delivery of the demo market was not stored");
                }
            }
        }
        progress.made();
    }
    Ok(())
}
