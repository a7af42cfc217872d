//! The rollout flag of a process, in a parameter.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use app::ports::RolloutFlag;
use async_trait::async_trait;
use domain::Rollout;
use secrecy::ExposeSecret as _;

use crate::ssm::ParameterError;
use crate::ssm::live::{LiveParameters, Outcome};
use crate::ssm::value::{RolloutValue, RolloutValueError};

/// How long a value is used before it is read again: a rollback reaches every process within this time.
pub const FLAG_INTERVAL: Duration = Duration::from_secs(5);

/// The outcome of the last read. Only changes are logged, or an invalid parameter would fill the
/// log.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Health {
    Good,
    /// With the value, so another invalid value is logged again.
    Refused(RolloutValueError),
    Missing,
    Unreachable,
}

struct State {
    rollout: Rollout,
    /// The attempt that it is from.
    attempt: u64,
    health: Health,
}

/// The rollout flag in a parameter. If it cannot be read or is not valid, the last good value stays
/// in force.
pub struct SsmRollout {
    parameters: Arc<LiveParameters>,
    name: String,
    env: Rollout,
    state: Mutex<State>,
}

impl SsmRollout {
    /// The flag in one of the parameters of the process. `env` is the flag that the process was
    /// started with: if it turns the stream off, the stream stays off, and it provides what the
    /// parameter omits.
    ///
    /// # Errors
    /// [`ParameterError`]: a process must not start without a valid flag.
    pub async fn new(
        parameters: Arc<LiveParameters>,
        name: impl Into<String>,
        env: Rollout,
    ) -> Result<Self, ParameterError> {
        let name = name.into();
        let reading = parameters.reading(&name, Duration::MAX).await;
        let (attempt, text) = match reading.map(|reading| (reading.attempt, reading.outcome)) {
            Some((attempt, Outcome::Value(text))) => (attempt, text),
            Some((_, Outcome::Missing | Outcome::Unread)) | None => {
                return Err(ParameterError::Missing { name });
            }
        };
        match RolloutValue::parse(text.expose_secret()) {
            Ok(value) => Ok(Self {
                parameters,
                name,
                env,
                state: Mutex::new(State {
                    rollout: value.rollout(env),
                    attempt,
                    health: Health::Good,
                }),
            }),
            Err(source) => Err(ParameterError::Refused { name, source }),
        }
    }

    /// Takes over the outcome of an attempt, and returns the flag in force.
    fn remember(&self, attempt: u64, outcome: &Outcome) -> Rollout {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Another caller may have taken over a later one.
        if attempt <= state.attempt {
            return state.rollout;
        }
        let before = state.rollout;
        let health = match outcome {
            Outcome::Value(text) => match RolloutValue::parse(text.expose_secret()) {
                Ok(value) => {
                    state.rollout = value.rollout(self.env);
                    Health::Good
                }
                Err(refused) => Health::Refused(refused),
            },
            Outcome::Missing => Health::Missing,
            Outcome::Unread => Health::Unreachable,
        };
        if state.rollout != before {
            tracing::info!(parameter = self.name, rollout = ?state.rollout, "the rollout changed");
        }
        if state.health != health {
            self.log(&health, state.rollout);
        }
        (state.attempt, state.health) = (attempt, health);
        state.rollout
    }

    fn log(&self, health: &Health, holds: Rollout) {
        let parameter = &self.name;
        match health {
            Health::Good => tracing::info!(parameter, "the rollout parameter is readable again"),
            Health::Refused(refused) => {
                tracing::error!(
                    parameter,
                    ?holds,
                    "the rollout parameter is not valid; it holds {refused}"
                );
            }
            Health::Missing => {
                tracing::error!(parameter, ?holds, "the rollout parameter is missing");
            }
            Health::Unreachable => {
                tracing::warn!(parameter, ?holds, "the rollout parameter cannot be read");
            }
        }
    }

    fn last(&self) -> Rollout {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.rollout
    }
}

#[async_trait]
impl RolloutFlag for SsmRollout {
    async fn current(&self) -> Rollout {
        // If the process was started with the stream off, the parameter cannot turn it on.
        if !self.env.use_kinesis {
            return self.last();
        }
        // Nobody waits for a flag: the last one is in force.
        match self.parameters.reading(&self.name, Duration::MAX).await {
            Some(reading) => self.remember(reading.attempt, &reading.outcome),
            None => self.last(),
        }
    }
}
