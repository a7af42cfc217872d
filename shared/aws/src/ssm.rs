//! The rollout flag and the secrets as SSM parameters.

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

/// How long a value holds before it is read anew: a rollback reaches every process within this
/// time.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// How long after a failed read the next one is tried, at most; at least half of it. Tries a second
/// later, by every process at once, would keep a throttled service throttled.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How long a delivery waits for a new value; the last one holds beyond that.
const READ_TIMEOUT: Duration = Duration::from_millis(300);

/// Why a parameter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    /// There is none of that name.
    #[error("the parameter `{name}` does not exist: create it, or correct the name")]
    Missing {
        /// Its name.
        name: String,
    },
    /// It holds no rollout.
    #[error("the parameter `{name}` holds {source}")]
    Refused {
        /// Its name.
        name: String,
        /// The value, and what is allowed.
        source: RolloutValueError,
    },
    /// It holds nothing.
    #[error("the parameter `{name}` is blank: put the secret there")]
    Blank {
        /// Its name.
        name: String,
    },
    /// It could not be read.
    #[error("the parameter `{name}` could not be read")]
    Unread {
        /// Its name.
        name: String,
        /// The cause.
        source: CallError,
    },
}

/// How the last read went. Only a change is logged, or a broken parameter would fill the log.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Health {
    Good,
    /// With the value, so that another broken one is logged anew.
    Refused(RolloutValueError),
    Missing,
    Unreachable,
}

struct State {
    rollout: Rollout,
    read_at: Instant,
    holds_for: Duration,
    health: Health,
}

/// The rollout flag in a parameter: read at most every 5 seconds, by one caller at a time, while
/// the others go on with the last value. Where it cannot be read or understood, the last good
/// value holds.
pub struct SsmRollout {
    client: Client,
    name: String,
    env: Rollout,
    state: Mutex<State>,
    /// Held by whoever reads the parameter.
    turn: tokio::sync::Mutex<()>,
}

impl SsmRollout {
    /// Reads the flag for the first time. `env` is what the process was started with: where it
    /// says that nothing goes to the stream, nothing does; and it fills in what the value leaves
    /// open.
    ///
    /// # Errors
    /// [`ParameterError`]: a process must not start with a flag that it does not know.
    pub async fn open(
        client: &Client,
        name: impl Into<String>,
        env: Rollout,
    ) -> Result<Self, ParameterError> {
        let name = name.into();
        let mut read = AtStart::read(client, &[&name]).await?;
        read.rollout(client, &name, env)
    }

    /// The flag with a value that was just read.
    fn begin(client: &Client, name: &str, env: Rollout, said: &RolloutValue) -> Self {
        let config = client.config().to_builder();
        Self {
            // A second try would come after the time that a delivery waits.
            client: Client::from_conf(config.retry_config(RetryConfig::disabled()).build()),
            name: name.to_owned(),
            env,
            state: Mutex::new(State {
                rollout: said.rollout(env),
                read_at: Instant::now(),
                holds_for: FRESH_FOR,
                health: Health::Good,
            }),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// The last value, and whether it still holds.
    fn last(&self) -> (Rollout, bool) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.rollout, state.read_at.elapsed() < state.holds_for)
    }

    async fn refresh(&self) -> Rollout {
        let (rollout, health) = match read(&self.client, &self.name, READ_TIMEOUT).await {
            Ok(text) => match RolloutValue::parse(&text) {
                Ok(said) => (Some(said.rollout(self.env)), Health::Good),
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

    /// Takes the outcome of a read, and answers what holds now.
    fn remember(&self, rollout: Option<Rollout>, health: Health) -> Rollout {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.rollout;
        state.rollout = rollout.unwrap_or(before);
        state.read_at = Instant::now();
        state.holds_for = match health {
            Health::Good => FRESH_FOR,
            Health::Refused(_) | Health::Missing | Health::Unreachable => jittered(RETRY_AFTER),
        };
        if state.rollout != before {
            tracing::info!(parameter = self.name, rollout = ?state.rollout, "the rollout changed");
        }
        if state.health != health {
            let (parameter, holds) = (&self.name, state.rollout);
            match &health {
                Health::Good => tracing::info!(parameter, "the rollout parameter is read again"),
                Health::Refused(refused) => {
                    tracing::error!(parameter, ?holds, "the rollout parameter holds {refused}");
                }
                Health::Missing => {
                    tracing::error!(parameter, ?holds, "the rollout parameter is gone");
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
        // Switched off where the process was started, no parameter can switch it on.
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
/// [`ParameterError`]; a blank secret is refused, since it would let everybody in.
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
            .ok_or_else(|| unread(CallError::Unreadable("no value in it".to_owned()))),
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
            "{} ms are over",
            within.as_millis()
        )))),
    }
}
