//! The flag as it is kept for all processes, for those who steer it.

use async_trait::async_trait;
use domain::{Percentage, Rollout, RolloutKey};

use app::ports::PortError;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagValue {
    /// The master switch. It cannot switch on a process that was started with the stream off.
    pub use_kinesis: bool,
    /// The share.
    pub percentage: Percentage,
    /// What the share is drawn by; `None` is what each process was started with.
    pub key: Option<RolloutKey>,
}

impl FlagValue {
    /// The share that is in force: 0 where the master switch is off.
    #[must_use]
    pub fn share(&self) -> Percentage {
        if self.use_kinesis {
            self.percentage
        } else {
            Percentage::ZERO
        }
    }

    /// The flag of a process that was started with another one: off there always wins.
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

/// What a look at the record found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagContent {
    /// A value.
    Value(FlagValue),
    /// Something that is no value: what it is, for people.
    Unreadable(String),
    /// Nothing.
    Missing,
}

/// The record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagRead {
    /// Grows by one with each write, from 1; 0 where there is no record.
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
    /// Writes over whatever is there, also where that is unreadable or missing. Answers the version
    /// that the change has got: where it is not the one after the version read before, somebody
    /// else wrote in between.
    async fn write(&self, change: &FlagChange) -> Result<i64, PortError>;
    /// The newest changes first; versions that hold no value are left out.
    async fn history(&self, limit: usize) -> Result<Vec<FlagVersion>, PortError>;
}
