//! The rollout flag: which share of the ticks goes to the stream.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Percentage;

/// The key that decides which ticks are in the cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RolloutKey {
    /// The tick's id: the share is exact for any traffic.
    #[default]
    Tick,
    /// The token: all ticks of a token go the same way, so its averages are complete.
    Token,
}

/// The text is neither `tick` nor `token`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rollout key: use `tick` or `token`")]
pub struct RolloutKeyError(String);

impl FromStr for RolloutKey {
    type Err = RolloutKeyError;
    fn from_str(text: &str) -> Result<Self, RolloutKeyError> {
        match text {
            "tick" => Ok(Self::Tick),
            "token" => Ok(Self::Token),
            other => Err(RolloutKeyError(other.chars().take(20).collect())),
        }
    }
}

impl fmt::Display for RolloutKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tick => "tick",
            Self::Token => "token",
        })
    }
}

/// The flag: `USE_KINESIS`, `KINESIS_PERCENTAGE` and `KINESIS_ROLLOUT_KEY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The master switch: off always wins over the percentage.
    pub use_kinesis: bool,
    /// The share of keys that is admitted.
    pub percentage: Percentage,
    /// The key that decides which ticks are admitted.
    pub key: RolloutKey,
}

impl Rollout {
    /// Nothing goes to the stream.
    pub const OFF: Self = Self {
        use_kinesis: false,
        percentage: Percentage::ZERO,
        key: RolloutKey::Tick,
    };
}

/// A value of the flag, with who set it, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutChange {
    /// When, epoch milliseconds.
    pub at_ms: i64,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
    /// The flag from then on.
    pub rollout: Rollout,
}
