//! One alarm.

use std::sync::Arc;

use app::ports::{Clock, PortError};
use ops::scaling::{Scaled, Scaling};

use crate::metric::ShardMetric;
use crate::wire::{AlarmEvent, UnknownAlarm};

/// Answers alarms.
pub struct Scaler {
    /// The use case.
    pub scaling: Scaling,
    /// Where the number of open shards is told.
    pub metric: ShardMetric,
    /// When it is told.
    pub clock: Arc<dyn Clock>,
}

/// Why an alarm was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ScalerError {
    /// It is none of ours.
    #[error(transparent)]
    UnknownAlarm(#[from] UnknownAlarm),
    /// The shards could not be counted or changed.
    #[error(transparent)]
    Shards(#[from] PortError),
}

impl Scaler {
    /// Takes an event, and tells the number of open shards as it was before.
    ///
    /// # Errors
    /// [`ScalerError`]; CloudWatch's call is tried again by Lambda.
    pub async fn handle(&self, event: AlarmEvent) -> Result<Scaled, ScalerError> {
        let load = event.load()?;
        let scaled = self.scaling.answer(load).await?;
        if load.is_some() {
            tracing::info!(
                alarm = event.name(),
                ?load,
                ?scaled,
                "an alarm was answered"
            );
        }
        self.metric.tell(scaled.open(), self.clock.now_ms());
        Ok(scaled)
    }
}
