//! The rollout flag and secrets in SSM parameters.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use app::ports::RolloutFlag;
use async_trait::async_trait;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::retry::RetryConfig;
use domain::Rollout;
use secrecy::SecretString;
use tokio::time::{Instant, timeout};

use crate::error::CallError;
use crate::retry::jittered;
use crate::ssm::start::AtStart;
use crate::ssm::value::{RolloutValue, RolloutValueError};

pub mod record;
pub mod start;
pub mod value;

/// How long a value is cached: a rollback reaches every process within this time.
const CACHE_TTL: Duration = Duration::from_secs(5);

/// The longest delay before the next read after a failed one; the shortest is half of it. If every
/// process retried within a second, a throttled service would stay throttled.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// How long a delivery waits for a new value; after that, it uses the last one.
const READ_TIMEOUT: Duration = Duration::from_millis(300);

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
    /// The parameter is blank.
    #[error("the parameter `{name}` is blank: store the secret there")]
    Blank {
        /// Its name.
        name: String,
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
    read_at: Instant,
    valid_for: Duration,
    health: Health,
}

/// The rollout flag in a parameter. It is read at most every 5 seconds, by one caller at a time,
/// while others use the last value. If it cannot be read or is not valid, the last good value stays
/// in force.
pub struct SsmRollout {
    client: Client,
    name: String,
    env: Rollout,
    state: Mutex<State>,
    /// Held while reading the parameter.
    turn: tokio::sync::Mutex<()>,
}

impl SsmRollout {
    /// Reads the flag for the first time. `env` is the flag that the process was started with: if
    /// it turns the stream off, the stream stays off, and it provides what the parameter omits.
    ///
    /// # Errors
    /// [`ParameterError`]: a process must not start without a valid flag.
    pub async fn open(
        client: &Client,
        name: impl Into<String>,
        env: Rollout,
    ) -> Result<Self, ParameterError> {
        let name = name.into();
        let mut read = AtStart::read(client, &[&name]).await?;
        read.rollout(client, &name, env)
    }

    /// The flag, from a value that was just read.
    fn begin(client: &Client, name: &str, env: Rollout, value: &RolloutValue) -> Self {
        let config = client.config().to_builder();
        Self {
            // A retry would take longer than a delivery waits.
            client: Client::from_conf(config.retry_config(RetryConfig::disabled()).build()),
            name: name.to_owned(),
            env,
            state: Mutex::new(State {
                rollout: value.rollout(env),
                read_at: Instant::now(),
                valid_for: CACHE_TTL,
                health: Health::Good,
            }),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// The last value, and whether it is still valid.
    fn last(&self) -> (Rollout, bool) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.rollout, state.read_at.elapsed() < state.valid_for)
    }

    async fn refresh(&self) -> Rollout {
        let (rollout, health) = match read(&self.client, &self.name, READ_TIMEOUT).await {
            Ok(text) => match RolloutValue::parse(&text) {
                Ok(value) => (Some(value.rollout(self.env)), Health::Good),
                Err(refused) => (None, Health::Refused(refused)),
            },
            Err(ParameterError::Missing { .. }) => (None, Health::Missing),
            Err(error) => {
                tracing::debug!(error = %error, cause = ?std::error::Error::source(&error), "the rollout parameter was not read");
                (None, Health::Unreachable)
            }
        };
        self.remember(rollout, health)
    }

    /// Records the outcome of a read, and returns the flag in force.
    fn remember(&self, rollout: Option<Rollout>, health: Health) -> Rollout {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.rollout;
        state.rollout = rollout.unwrap_or(before);
        state.read_at = Instant::now();
        state.valid_for = match health {
            Health::Good => CACHE_TTL,
            Health::Refused(_) | Health::Missing | Health::Unreachable => jittered(RETRY_DELAY_MAX),
        };
        if state.rollout != before {
            tracing::info!(parameter = self.name, rollout = ?state.rollout, "the rollout changed");
        }
        if state.health != health {
            let (parameter, holds) = (&self.name, state.rollout);
            match &health {
                Health::Good => tracing::info!(
                    parameter,
                    "the rollout parameter is readable \
                    again"
                ),
                Health::Refused(refused) => {
                    tracing::error!(
                        parameter,
                        ?holds,
                        "the rollout parameter is not valid; it \
                        holds {refused}"
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
        state.health = health;
        state.rollout
    }
}

#[async_trait]
impl RolloutFlag for SsmRollout {
    async fn current(&self) -> Rollout {
        let (rollout, fresh) = self.last();
        // If the process was started with the stream off, the parameter cannot turn it on.
        if fresh || !self.env.use_kinesis {
            return rollout;
        }
        let Ok(_turn) = self.turn.try_lock() else {
            return rollout;
        };
        match self.last() {
            (rollout, true) => rollout,
            (_, false) => self.refresh().await,
        }
    }
}

/// Reads a secret, such as the webhook's, from a SecureString.
///
/// # Errors
/// [`ParameterError`]; a blank secret is refused, since it would admit everybody.
pub async fn secrets(
    client: &Client,
    name: impl Into<String>,
) -> Result<SecretString, ParameterError> {
    let name = name.into();
    AtStart::read(client, &[&name]).await?.secret(&name)
}

/// Reads the flag's parameter once.
async fn read(client: &Client, name: &str, within: Duration) -> Result<String, ParameterError> {
    let unread = |source| ParameterError::Unread {
        name: name.to_owned(),
        source,
    };
    let request = client.get_parameter().name(name);
    match timeout(within, request.send()).await {
        Ok(Ok(answer)) => answer
            .parameter
            .and_then(|parameter| parameter.value)
            .ok_or_else(|| unread(CallError::Unreadable("it has no value".to_owned()))),
        Ok(Err(error)) => {
            let missing = error
                .as_service_error()
                .is_some_and(|refusal| refusal.is_parameter_not_found());
            Err(if missing {
                ParameterError::Missing {
                    name: name.to_owned(),
                }
            } else {
                unread(CallError::of(&error))
            })
        }
        Err(_) => Err(unread(CallError::Unanswered(format!(
            "timed out after {} ms",
            within.as_millis()
        )))),
    }
}
