//! Parameters that are read again while the process lives: those that are due in one call, by one caller at a time,
//! while the others use what was read last.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::retry::RetryConfig;
use secrecy::SecretString;
use tokio::time::{Instant, timeout};

use crate::error::CallError;
use crate::retry::jittered;
use crate::ssm::ParameterError;
use crate::ssm::get_parameters::get_parameters;
use crate::ssm::start::read_at_start;

/// The longest delay before the next read after a failed one; the shortest is half of it. If every
/// process retried within a second, a throttled service would stay throttled.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// How long a delivery waits for a new value; after that, it uses the last one.
const READ_TIMEOUT: Duration = Duration::from_millis(300);

/// How often a value that is too old is tried at once after a pause: Lambda may have frozen the process for so long that
/// its connection is gone.
const ATTEMPTS_AFTER_PAUSE: u32 = 2;

/// What the last attempt to read a parameter found.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Its value, which may be a secret.
    Value(SecretString),
    /// It does not exist any more.
    Missing,
    /// SSM did not answer.
    Unread,
}

/// The last attempt to read a parameter.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The number of the attempt, from 0 at the start.
    pub attempt: u64,
    /// When it began.
    pub at: Instant,
    /// What it found.
    pub outcome: Outcome,
}

struct Parameter {
    interval: Duration,
    /// When SSM was last asked for it and answered.
    answered_at: Instant,
    next_read: Instant,
    last: Reading,
}

/// The parameters of a process.
pub struct LiveParameters {
    client: Client,
    parameters: Mutex<BTreeMap<String, Parameter>>,
    /// Held while reading.
    turn: tokio::sync::Mutex<()>,
}

impl LiveParameters {
    /// Reads parameters for the first time, with retries for 5 s, each with the interval after which a caller has it read
    /// again.
    ///
    /// # Errors
    /// [`ParameterError`] if one of them is missing or could not be read.
    pub async fn start(
        client: &Client,
        intervals: &[(&str, Duration)],
    ) -> Result<Self, ParameterError> {
        let names = intervals.iter().map(|(name, _)| (*name).to_owned());
        let at = Instant::now();
        let mut read = read_at_start(client, &names.collect::<Vec<_>>()).await?;
        let mut parameters = BTreeMap::new();
        for (name, interval) in intervals {
            let Some(value) = read.remove(*name) else {
                let name = (*name).to_owned();
                return Err(ParameterError::Missing { name });
            };
            let parameter = Parameter {
                interval: *interval,
                answered_at: at,
                next_read: at + *interval,
                last: Reading {
                    attempt: 0,
                    at,
                    outcome: Outcome::Value(value),
                },
            };
            parameters.insert((*name).to_owned(), parameter);
        }
        let config = client.config().to_builder();
        Ok(Self {
            // A retry of the SDK would take longer than a delivery waits.
            client: Client::from_conf(config.retry_config(RetryConfig::disabled()).build()),
            parameters: Mutex::new(parameters),
            turn: tokio::sync::Mutex::new(()),
        })
    }

    /// What was last read of a parameter, which is read again if it is due. If another caller reads it at the moment, the
    /// last reading is returned, unless SSM has answered for it longer ago than `old_after`: then the caller waits.
    /// `None` for a name that was not read at the start.
    pub async fn reading(&self, name: &str, old_after: Duration) -> Option<Reading> {
        let (is_due, is_old) = self.state_of(name, old_after)?;
        if is_due {
            let turn = match is_old {
                true => Some(self.turn.lock().await),
                false => self.turn.try_lock().ok(),
            };
            // Another caller may have read it meanwhile.
            if turn.is_some() && self.state_of(name, old_after)?.0 {
                let has_failed = matches!(self.last(name)?.outcome, Outcome::Unread);
                let attempts_max = match is_old && !has_failed {
                    true => ATTEMPTS_AFTER_PAUSE,
                    false => 1,
                };
                self.read_due(attempts_max).await;
            }
        }
        self.last(name)
    }

    fn last(&self, name: &str) -> Option<Reading> {
        Some(self.lock().get(name)?.last.clone())
    }

    /// Whether a parameter is due, and whether SSM has not answered for it for long.
    fn state_of(&self, name: &str, old_after: Duration) -> Option<(bool, bool)> {
        let parameters = self.lock();
        let parameter = parameters.get(name)?;
        let is_due = parameter.next_read <= Instant::now();
        Some((is_due, parameter.answered_at.elapsed() > old_after))
    }

    /// Reads all parameters that are due.
    async fn read_due(&self, attempts_max: u32) {
        let now = Instant::now();
        let due = |(name, parameter): (&String, &Parameter)| {
            (parameter.next_read <= now).then(|| name.clone())
        };
        let names: Vec<String> = self.lock().iter().filter_map(due).collect();
        let mut at = now;
        let mut found = self.get(&names).await;
        for _ in 1..attempts_max {
            if found.is_err() {
                at = Instant::now();
                found = self.get(&names).await;
            }
        }
        if let Err(cause) = &found {
            tracing::debug!(%cause, ?names, "parameters were not read");
        }
        let mut parameters = self.lock();
        for name in names {
            let Some(parameter) = parameters.get_mut(&name) else {
                continue;
            };
            let outcome = match &found {
                Ok(found) => match found.get(&name) {
                    Some(Some(value)) => Outcome::Value(value.clone()),
                    Some(None) | None => Outcome::Missing,
                },
                Err(_) => Outcome::Unread,
            };
            let next = match outcome {
                Outcome::Value(_) => parameter.interval,
                Outcome::Missing | Outcome::Unread => jittered(RETRY_DELAY_MAX),
            };
            parameter.next_read = Instant::now() + next;
            if found.is_ok() {
                parameter.answered_at = at;
            }
            parameter.last = Reading {
                attempt: parameter.last.attempt + 1,
                at,
                outcome,
            };
        }
    }

    async fn get(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, Option<SecretString>>, CallError> {
        match timeout(READ_TIMEOUT, get_parameters(&self.client, names)).await {
            Ok(found) => found,
            Err(_) => Err(CallError::Unanswered(format!(
                "timed out after {} ms",
                READ_TIMEOUT.as_millis()
            ))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Parameter>> {
        self.parameters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
