//! Handles one call of the schedule.

use std::sync::Arc;

use app::ports::{Clock, PortError};
use ops::scaling::{Scaled, Scaling};
use serde::de::IgnoredAny;

use crate::metric::ShardMetric;

/// Handles calls.
pub struct Scaler {
    /// The use case.
    pub scaling: Scaling,
    /// The metric of open shards.
    pub metric: ShardMetric,
    /// Gives the time of the decision and of the metric.
    pub clock: Arc<dyn Clock>,
}

/// Why a call did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ScalerError {
    /// The stream or its metrics could not be read, or the shards not be changed.
    #[error(transparent)]
    Shards(#[from] PortError),
}

impl Scaler {
    /// Handles a call, whatever its event: writes the number of open shards as a metric, and then decides.
    ///
    /// # Errors
    /// [`ScalerError`]; the next minute's call tries again.
    pub async fn handle(&self, _event: IgnoredAny) -> Result<Scaled, ScalerError> {
        let now_ms = self.clock.now_ms();
        let state = self.scaling.shards.describe().await?;
        // First, since the alarm on the stream's load needs it even if the rest fails.
        self.metric.write(state.open, now_ms);
        let scaled = self.scaling.adjust(state, now_ms).await?;
        match &scaled {
            Scaled::Unchanged { .. } | Scaled::Updating { .. } => {
                tracing::debug!(?scaled, "nothing to do");
            }
            Scaled::Refused { .. } => {
                tracing::warn!(
                    ?scaled,
                    "Kinesis refused another number of shards; it is requested again in a minute"
                );
            }
            Scaled::Reserved { .. } | Scaled::Requested { .. } | Scaled::WouldRequest { .. } => {
                tracing::info!(?scaled, "another number of shards would suit the load");
            }
        }
        Ok(scaled)
    }
}
