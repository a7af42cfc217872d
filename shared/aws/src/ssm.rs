//! The rollout flag and secrets in SSM parameters.

use crate::error::CallError;
use crate::ssm::value::RolloutValueError;

mod get_parameters;
pub mod live;
pub mod record;
pub mod rollout;
mod start;
pub mod value;

/// Why a parameter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    /// There is no parameter of that name.
    #[error("the parameter `{name}` does not exist: create it, or correct the name")]
    Missing {
        /// Its name.
        name: String,
    },
    /// The parameter does not have a valid rollout.
    #[error("the parameter `{name}` is not valid: it holds {source}")]
    Refused {
        /// Its name.
        name: String,
        /// The value, and what is allowed.
        source: RolloutValueError,
    },
    /// The parameter could not be read.
    #[error("the parameter `{name}` could not be read")]
    Unread {
        /// Its name.
        name: String,
        /// The cause.
        source: CallError,
    },
}
