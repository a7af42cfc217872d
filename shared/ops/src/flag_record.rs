//! The shared record of the rollout flag: what the control plane reads and writes.

use async_trait::async_trait;
use domain::{Percentage, Rollout, RolloutKey};

use app::ports::PortError;

/// How long a process may use a cached value of the flag, in milliseconds.
pub const FLAG_CACHED_MS: i64 = 5_000;

/// The value of the flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagValue {
    /// The master switch. It cannot switch on a process that was started with the stream off.
    pub use_kinesis: bool,
    /// The share.
    pub percentage: Percentage,
    /// The key that decides which ticks are in the cohort; `None` leaves each process the key it
    /// was started with.
    pub key: Option<RolloutKey>,
}

impl FlagValue {
    /// The share in force: 0 when the master switch is off.
    #[must_use]
    pub fn share(&self) -> Percentage {
        if self.use_kinesis {
            self.percentage
        } else {
            Percentage::ZERO
        }
    }

    /// The rollout of a process that was started with `started_with`: if the stream is off there,
    /// it stays off.
    #[must_use]
    pub fn rollout(&self, started_with: Rollout) -> Rollout {
        Rollout {
            use_kinesis: self.use_kinesis && started_with.use_kinesis,
            percentage: self.percentage,
            key: self.key.unwrap_or(started_with.key),
        }
    }
}

/// A value, with who set it, when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagChange {
    /// When, epoch milliseconds.
    pub at_ms: i64,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
    /// The value from then on.
    pub value: FlagValue,
}

/// What the record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagContent {
    /// A value.
    Value(FlagValue),
    /// Something that is not a valid value, described for people.
    Unreadable(String),
    /// Nothing.
    Missing,
}

/// The record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagRead {
    /// Grows by one with each write, starting at 1; 0 if there is no record.
    pub version: i64,
    /// What it holds.
    pub content: FlagContent,
}

/// A change that is or was in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagVersion {
    /// Its version.
    pub version: i64,
    /// The change.
    pub change: FlagChange,
}

/// The one record of the flag that all processes read.
#[async_trait]
pub trait FlagRecord: Send + Sync {
    /// What it holds now.
    async fn read(&self) -> Result<FlagRead, PortError>;
    /// Overwrites the record, even if it is unreadable or missing, and returns the version of the
    /// change. If that is not the version after the one read before, somebody else wrote in
    /// between.
    async fn write(&self, change: &FlagChange) -> Result<i64, PortError>;
    /// The newest changes first; versions without a valid value are omitted.
    async fn history(&self, limit: usize) -> Result<Vec<FlagVersion>, PortError>;
}
