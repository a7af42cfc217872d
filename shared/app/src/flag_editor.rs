//! Changes of the rollout flag. Who, when and why are recorded with every change.

use std::sync::Arc;

use domain::{Percentage, Rollout, RolloutChange, RolloutKey};

use crate::ports::{Clock, PortError, RolloutFlag, RolloutStore};

/// The longest `who` in characters.
pub const WHO_CHARS_MAX: usize = 100;
/// The longest `why` in characters.
pub const WHY_CHARS_MAX: usize = 500;

/// The requested change; `None` keeps the current value.
#[derive(Debug, Clone, Default)]
pub struct RolloutRequest {
    /// The master switch.
    pub use_kinesis: Option<bool>,
    /// The share.
    pub percentage: Option<Percentage>,
    /// The key that decides which ticks are in the cohort.
    pub key: Option<RolloutKey>,
    /// Who requests the change (1 to 100 characters).
    pub who: String,
    /// Why (1 to 500 characters).
    pub why: String,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// `who` or `why` is empty or too long.
    #[error(
        "`{field}` must have 1 to {chars_max} characters, since every change is recorded with who \
         made it and why"
    )]
    Unsigned {
        /// The field.
        field: &'static str,
        /// Its limit.
        chars_max: usize,
    },
    /// Nothing to change.
    #[error("the change is empty: pass at least one of `use_kinesis`, `percentage` and `key`")]
    Nothing,
    /// The change could not be stored. If only the response was lost, it may have been stored
    /// nevertheless.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Reads and changes the flag.
pub struct FlagEditor {
    /// The current flag.
    pub flag: Arc<dyn RolloutFlag>,
    /// Where changes are kept.
    pub store: Arc<dyn RolloutStore>,
    /// The time of a change.
    pub clock: Arc<dyn Clock>,
}

impl FlagEditor {
    /// Makes a change, which is in force when the call returns.
    ///
    /// # Errors
    /// [`RolloutError`]; the flag is then unchanged.
    pub async fn change(&self, request: RolloutRequest) -> Result<Rollout, RolloutError> {
        let who = signed("who", &request.who, WHO_CHARS_MAX)?;
        let why = signed("why", &request.why, WHY_CHARS_MAX)?;
        if request.use_kinesis.is_none() && request.percentage.is_none() && request.key.is_none() {
            return Err(RolloutError::Nothing);
        }
        let now = self.flag.current().await;
        let rollout = Rollout {
            use_kinesis: request.use_kinesis.unwrap_or(now.use_kinesis),
            percentage: request.percentage.unwrap_or(now.percentage),
            key: request.key.unwrap_or(now.key),
        };
        self.store
            .change(RolloutChange {
                at_ms: self.clock.now_ms(),
                who,
                why,
                rollout,
            })
            .await?;
        Ok(rollout)
    }
}

/// A field of a change's signature, without surrounding white space.
pub fn signed(field: &'static str, text: &str, chars_max: usize) -> Result<String, RolloutError> {
    let chars = text.trim().chars().count();
    if chars == 0 || chars > chars_max {
        return Err(RolloutError::Unsigned { field, chars_max });
    }
    Ok(text.trim().to_owned())
}
