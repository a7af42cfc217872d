//! Handles one alarm.

use std::sync::Arc;

use app::ports::{Clock, PortError};
use ops::scaling::{Scaled, Scaling};

use crate::metric::ShardMetric;
use crate::wire::{AlarmEvent, UnknownAlarm};

/// Handles alarms.
pub struct Scaler {
    /// The use case.
    pub scaling: Scaling,
    /// The metric of open shards.
    pub metric: ShardMetric,
    /// Gives the metric's time.
    pub clock: Arc<dyn Clock>,
}

/// Why an alarm was not handled.
#[derive(Debug, thiserror::Error)]
pub enum ScalerError {
    /// The alarm is not one of ours.
    #[error(transparent)]
    UnknownAlarm(#[from] UnknownAlarm),
    /// The shards could not be counted or changed.
    #[error(transparent)]
    Shards(#[from] PortError),
}

impl Scaler {
    /// Handles an event, and writes the number of open shards before the change as a metric.
    ///
    /// # Errors
    /// [`ScalerError`]; Lambda then retries CloudWatch's invocation.
    pub async fn handle(&self, event: AlarmEvent) -> Result<Scaled, ScalerError> {
        let load = event.load()?;
        let scaled = self.scaling.handle_alarm(load).await?;
        if load.is_some() {
            tracing::info!(alarm = event.name(), ?load, ?scaled, "an alarm was handled");
        }
        self.metric.write(scaled.open(), self.clock.now_ms());
        Ok(scaled)
    }
}
