//! How many shards a provisioned stream should have: decided each minute, from what CloudWatch has of the last day and how
//! the stream describes itself.

mod step;

pub use step::{SHARDS_MAX, ShardLimits, ShardLimitsError};

use std::sync::Arc;

use serde::Serialize;

use app::ports::PortError;

use crate::ports::{Resize, Shards, StreamMetrics, StreamState};

/// Whether a change is made or only reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The change is made.
    Apply,
    /// The change is only reported.
    DryRun,
}

/// What was done in a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Scaled {
    /// The number of shards is as it should be, or at its limit.
    Unchanged {
        /// How many there are.
        open: u32,
    },
    /// The stream is being changed, so there is nothing to decide before it is active again.
    Updating {
        /// How many there are now.
        open: u32,
    },
    /// There could be fewer, but the resizes that Kinesis still allows in these 24 hours are left for more.
    Reserved {
        /// How many there are.
        open: u32,
    },
    /// Another number was requested; the stream reaches it later.
    Requested {
        /// How many there are.
        from: u32,
        /// How many there will be.
        to: u32,
    },
    /// Another number would have been requested.
    WouldRequest {
        /// How many there are.
        from: u32,
        /// How many there would be.
        to: u32,
    },
    /// Kinesis refused. The next minute decides again.
    Refused {
        /// How many there are.
        from: u32,
        /// How many were requested.
        to: u32,
        /// Why, in Kinesis' words.
        reason: String,
    },
}

/// Moves the number of shards inside its limits.
pub struct Scaling {
    /// The stream's shards.
    pub shards: Arc<dyn Shards>,
    /// The stream's metrics.
    pub metrics: Arc<dyn StreamMetrics>,
    /// What an operator allows.
    pub limits: ShardLimits,
    /// Whether changes are made.
    pub mode: Mode,
}

impl Scaling {
    /// Decides for a stream that is in this state now (epoch milliseconds), and requests the change.
    ///
    /// # Errors
    /// [`PortError`] if the metrics cannot be read, or the change fails for a reason that the next minute does not mend.
    pub async fn adjust(&self, state: StreamState, now_ms: i64) -> Result<Scaled, PortError> {
        let open = state.open;
        if !state.is_active {
            return Ok(Scaled::Updating { open });
        }
        let history = self.metrics.read(now_ms).await?;
        let Some(load) = history.load(open, now_ms) else {
            return Ok(Scaled::Unchanged { open });
        };
        let (from, to) = (open, self.limits.target(open, load));
        if to == from {
            return Ok(Scaled::Unchanged { open });
        }
        if to < from && !history.may_shrink() {
            return Ok(Scaled::Reserved { open });
        }
        if self.mode == Mode::DryRun {
            return Ok(Scaled::WouldRequest { from, to });
        }
        Ok(match self.shards.set(to).await? {
            Resize::Accepted => Scaled::Requested { from, to },
            Resize::Refused(reason) => Scaled::Refused { from, to, reason },
        })
    }
}

#[cfg(test)]
mod tests;
