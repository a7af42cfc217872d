//! The secrets of the senders in an SSM parameter, which is read again while the process lives.
//!
//! No delivery is judged by secrets that were read more than [`FRESH_SECONDS`] ago, as long as SSM answers with usable
//! ones: so a rotation needs no restart, and a leaked secret is dead within a minute. If it does not, the last ones are used
//! for [`HELD_SECONDS`], and each delivery counts in the metric `StaleSecrets`; after that, deliveries are refused for a retry.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use async_trait::async_trait;
use aws::emf::{InvocationMetrics, STALE_SECRETS};
use aws::ssm::live::{LiveParameters, Outcome, Reading};
use secrecy::ExposeSecret as _;

use crate::auth::{ActiveSecrets, Secrets, SecretsError, SecretsTooOld};

/// How long secrets are used before they are read again. Each read of a SecureString is also a call of KMS, which is
/// billed.
pub const SECRETS_INTERVAL: Duration = Duration::from_secs(30);

/// Older secrets are stale. They are used only if newer ones cannot be read.
pub const FRESH_SECONDS: u64 = 60;

/// Older secrets are not used.
pub const HELD_SECONDS: u64 = 15 * 60;

/// What was wrong with the last read. Only changes are logged.
#[derive(Debug, PartialEq, Eq)]
enum Health {
    Good,
    Invalid(SecretsError),
    None,
    Missing,
    Unread,
}

struct State {
    secrets: Arc<Secrets>,
    /// The last reading that was taken over, and the last one with usable secrets.
    attempt: u64,
    read_at: tokio::time::Instant,
    health: Health,
}

/// The secrets in a parameter.
pub struct ParameterSecrets {
    parameters: Arc<LiveParameters>,
    name: String,
    metrics: InvocationMetrics,
    state: Mutex<State>,
}

impl ParameterSecrets {
    /// The secrets in one of the parameters of the process.
    ///
    /// # Errors
    /// If it does not have usable ones: a process must not start without.
    pub async fn new(
        parameters: Arc<LiveParameters>,
        name: impl Into<String>,
        metrics: InvocationMetrics,
    ) -> anyhow::Result<Self> {
        let name = name.into();
        let first = parameters.reading(&name, Duration::MAX).await;
        let Some(Reading {
            attempt,
            at,
            outcome: Outcome::Value(text),
        }) = first
        else {
            bail!("the parameter `{name}` was not read")
        };
        let secrets = Secrets::parse(text.expose_secret())
            .with_context(|| format!("the parameter `{name}`"))?;
        ensure!(
            !secrets.is_empty(),
            "the parameter `{name}` has no secret, so anybody could deliver: add at least one"
        );
        Ok(Self {
            parameters,
            name,
            metrics,
            state: Mutex::new(State {
                secrets: Arc::new(secrets),
                attempt,
                read_at: at,
                health: Health::Good,
            }),
        })
    }

    /// Takes over a reading, and returns the secrets with their age.
    fn remember(&self, reading: &Reading) -> (Arc<Secrets>, Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Another caller may have taken over a later one.
        if reading.attempt > state.attempt {
            state.attempt = reading.attempt;
            let health = match &reading.outcome {
                Outcome::Value(text) => match Secrets::parse(text.expose_secret()) {
                    Ok(secrets) if secrets.is_empty() => Health::None,
                    Ok(secrets) => {
                        (state.secrets, state.read_at) = (Arc::new(secrets), reading.at);
                        Health::Good
                    }
                    Err(error) => Health::Invalid(error),
                },
                Outcome::Missing => Health::Missing,
                Outcome::Unread => Health::Unread,
            };
            if state.health != health {
                self.log(&health);
                state.health = health;
            }
        }
        (Arc::clone(&state.secrets), state.read_at.elapsed())
    }

    /// No message has a part of a secret.
    fn log(&self, health: &Health) {
        let parameter = &self.name;
        let held = "the last secrets are used for 15 minutes, and then deliveries are refused";
        match health {
            Health::Good => tracing::info!(parameter, "the secrets are readable again"),
            Health::Invalid(error) => {
                tracing::error!(parameter, %error, "the parameter's secrets are not valid; {held}");
            }
            Health::None => tracing::error!(parameter, "the parameter has no secret; {held}"),
            Health::Missing => tracing::error!(parameter, "the parameter is missing; {held}"),
            Health::Unread => tracing::warn!(parameter, "the parameter cannot be read; {held}"),
        }
    }
}

#[async_trait]
impl ActiveSecrets for ParameterSecrets {
    async fn current(&self) -> Result<Arc<Secrets>, SecretsTooOld> {
        let old_after = Duration::from_secs(FRESH_SECONDS);
        let (secrets, age) = match self.parameters.reading(&self.name, old_after).await {
            Some(reading) => self.remember(&reading),
            // It was read at the start.
            None => (Arc::default(), Duration::MAX),
        };
        if age <= old_after {
            return Ok(secrets);
        }
        self.metrics.add(STALE_SECRETS, 1);
        self.metrics.flush();
        if age <= Duration::from_secs(HELD_SECONDS) {
            return Ok(secrets);
        }
        Err(SecretsTooOld {
            seconds: age.as_secs(),
            max: HELD_SECONDS,
        })
    }
}
