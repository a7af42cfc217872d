//! Steering the rollout: a step up or down, and the way back, each followed by a look at what
//! really arrives in the stream.

use std::time::Duration;

use domain::{Percentage, Rollout};

use crate::ports::{Alarms, Arrival, Arrivals, PortError};
use crate::rollout::{RolloutControl, RolloutError, RolloutRequest};
use crate::stages::{Stage, StepRefused, check_step};

/// How long a process may go on with the flag as it read it last, in milliseconds.
pub const FLAG_CACHED_MS: i64 = 5_000;

/// After that, how long nothing new may arrive before the stream counts as quiet, in milliseconds.
const QUIET_MS: i64 = 1_500;

/// How often the stream is looked at; a shard answers five reads a second to all its readers.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// When a way back that does not come to rest is given up, in milliseconds.
const REST_WITHIN_MS: i64 = 60_000;

/// Why a step was not taken, or its end not seen.
#[derive(Debug, thiserror::Error)]
pub enum SteeringError {
    /// The rules speak against it; the flag is as it was.
    #[error(transparent)]
    Refused(#[from] StepRefused),
    /// The change could not be made; the flag is as it was.
    #[error(transparent)]
    Change(#[from] RolloutError),
    /// A port failed. Where the flag was changed before, the change holds.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The flag is at 0, but ticks still arrive.
    #[error(
        "the flag is at 0, but after {} s ticks taken in after the change still arrive: is there a \
         process that does not read the flag?", REST_WITHIN_MS / 1_000
    )]
    NoRest,
}

/// What arrived in the stream after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepSeen {
    /// The share before.
    pub before: Percentage,
    /// The flag since.
    pub rollout: Rollout,
    /// How long the stream was watched after every process had the flag, in milliseconds.
    pub watched_ms: i64,
    /// Ticks that arrived in that time.
    pub arrived: u64,
    /// Those of them that do not belong to the cohort.
    pub outside_cohort: u64,
}

/// How a way back went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackSeen {
    /// The share before.
    pub before: Percentage,
    /// How long storing the flag took, in milliseconds.
    pub changed_after_ms: i64,
    /// When the last tick taken in after the change arrived, in milliseconds after the change was
    /// begun; `None` where there was none.
    pub last_arrival_after_ms: Option<i64>,
    /// Ticks taken in after the change that still arrived.
    pub arrived: u64,
}

/// Who asks for a change, and why.
#[derive(Debug, Clone)]
pub struct Signature {
    /// Who (1 to 100 characters).
    pub who: String,
    /// Why (1 to 500 characters).
    pub why: String,
}

/// The operator's desk.
pub struct Steering<'a> {
    /// The flag.
    pub control: &'a RolloutControl,
    /// The alarms.
    pub alarms: &'a dyn Alarms,
}

impl Steering<'_> {
    /// Goes to a stage, and watches the stream for `watch`. Forced, it goes whatever the rules say.
    ///
    /// # Errors
    /// [`SteeringError`].
    pub async fn step(
        &self,
        asked: Stage,
        forced: bool,
        signature: Signature,
        arrivals: &mut dyn Arrivals,
        watch: Duration,
    ) -> Result<StepSeen, SteeringError> {
        let before = self.share().await;
        let alarms = self.alarms.active().await?;
        if !forced {
            check_step(before, asked, &alarms)?;
        }
        arrivals.poll().await?;
        let rollout = self.change(asked.percentage(), signature).await?;
        tokio::time::sleep(Duration::from_millis(FLAG_CACHED_MS.unsigned_abs())).await;
        let began_ms = self.control.clock.now_ms();
        let mut seen = StepSeen {
            before,
            rollout,
            watched_ms: 0,
            arrived: 0,
            outside_cohort: 0,
        };
        let watch_ms = i64::try_from(watch.as_millis()).unwrap_or(i64::MAX);
        while seen.watched_ms < watch_ms {
            tokio::time::sleep(LOOK_EVERY).await;
            for Arrival { tick, .. } in arrivals.poll().await? {
                if tick.ingested_at_ms >= began_ms {
                    seen.arrived += 1;
                    seen.outside_cohort += u64::from(!rollout.admits(&tick));
                }
            }
            seen.watched_ms = self.control.clock.now_ms() - began_ms;
        }
        Ok(seen)
    }

    /// Sets the share to 0, and waits until no tick that was taken in afterwards arrives any more.
    ///
    /// # Errors
    /// [`SteeringError`].
    pub async fn back(
        &self,
        signature: Signature,
        arrivals: &mut dyn Arrivals,
    ) -> Result<BackSeen, SteeringError> {
        let before = self.share().await;
        // Where the stream cannot be watched, the way back is taken all the same.
        let watched = arrivals.poll().await;
        let began_ms = self.control.clock.now_ms();
        self.change(Percentage::ZERO, signature).await?;
        let mut seen = BackSeen {
            before,
            changed_after_ms: self.control.clock.now_ms() - began_ms,
            last_arrival_after_ms: None,
            arrived: 0,
        };
        watched?;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            for Arrival { tick, arrived_ms } in arrivals.poll().await? {
                if tick.ingested_at_ms >= began_ms {
                    seen.arrived += 1;
                    let after_ms = arrived_ms.max(tick.ingested_at_ms) - began_ms;
                    seen.last_arrival_after_ms = seen.last_arrival_after_ms.max(Some(after_ms));
                }
            }
            let passed_ms = self.control.clock.now_ms() - began_ms;
            let busy_ms = seen.last_arrival_after_ms.unwrap_or(0).max(FLAG_CACHED_MS);
            if passed_ms >= busy_ms + QUIET_MS {
                return Ok(seen);
            }
            if passed_ms >= REST_WITHIN_MS {
                return Err(SteeringError::NoRest);
            }
        }
    }

    /// The share that is in force: 0 where the master switch is off.
    async fn share(&self) -> Percentage {
        let rollout = self.control.flag.current().await;
        if rollout.use_kinesis {
            rollout.percentage
        } else {
            Percentage::ZERO
        }
    }

    async fn change(
        &self,
        percentage: Percentage,
        signature: Signature,
    ) -> Result<Rollout, RolloutError> {
        let request = RolloutRequest {
            use_kinesis: Some(true),
            percentage: Some(percentage),
            key: None,
            who: signature.who,
            why: signature.why,
        };
        self.control.change(request).await
    }
}
