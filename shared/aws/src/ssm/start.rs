//! The parameters that a process needs at its start: all in one call, with retries for a few
//! seconds, since a process that does not start is useless.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::config::timeout::TimeoutConfig;
use domain::Rollout;
use secrecy::SecretString;
use tokio::time::Instant;

use crate::error::CallError;
use crate::retry::{jittered, within};
use crate::ssm::value::RolloutValue;
use crate::ssm::{ParameterError, SsmRollout};

/// How long the start of a process waits for its parameters; Lambda allows 10 s for a start.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one attempt may take: this allows three attempts at a service that does not respond.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The longest first wait between two attempts, and the longest of all. Under load, many processes
/// start at once, and SSM allows 40 calls a second unless the account pays for more.
const WAIT_FIRST: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_millis(1_600);

/// Parameters that were read at the start. They may be secrets, so they cannot be displayed.
pub struct AtStart(BTreeMap<String, String>);

impl AtStart {
    /// Reads parameters (at most 10, SSM's own limit) and decrypts encrypted ones. Only region,
    /// credentials and connections of `client` are used: a start has more time than a request.
    ///
    /// # Errors
    /// [`ParameterError`] if one of them is missing or could not be read within 5 seconds.
    pub async fn read(client: &Client, names: &[&str]) -> Result<Self, ParameterError> {
        if names.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        let patient = TimeoutConfig::builder()
            .connect_timeout(ATTEMPT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(ATTEMPT_TIMEOUT)
            .build();
        let config = client.config().to_builder().timeout_config(patient);
        // The retries are ours: those of the SDK would look like a hanging start.
        let client = Client::from_conf(config.retry_config(RetryConfig::disabled()).build());
        let deadline = Instant::now() + START_TIMEOUT;
        let mut longest = WAIT_FIRST;
        loop {
            let cause = match within(deadline, once(&client, names)).await {
                Some(Ok(read)) => return read,
                Some(Err(cause)) => cause,
                None => unanswered(),
            };
            let next_try = Instant::now() + jittered(longest);
            longest = (longest * 2).min(WAIT_MAX);
            if !cause.is_transient() || next_try >= deadline {
                return Err(ParameterError::Unread {
                    name: names.join("`, `"),
                    source: cause,
                });
            }
            tracing::warn!(%cause, "the parameters could not be read; retrying");
            tokio::time::sleep_until(next_try).await;
        }
    }

    /// A secret, such as the webhook's.
    ///
    /// # Errors
    /// [`ParameterError`]; a blank secret is refused, since it would admit everybody.
    pub fn secret(&mut self, name: &str) -> Result<SecretString, ParameterError> {
        let text = self.take(name)?;
        if text.trim().is_empty() {
            return Err(ParameterError::Blank {
                name: name.to_owned(),
            });
        }
        Ok(SecretString::from(text))
    }

    /// The flag, which `client` then keeps up to date. `env` is the flag that the process was
    /// started with: if it turns the stream off, the stream stays off, and it provides what the
    /// parameter omits.
    ///
    /// # Errors
    /// [`ParameterError`]: a process must not start without a valid flag.
    pub fn rollout(
        &mut self,
        client: &Client,
        name: &str,
        env: Rollout,
    ) -> Result<SsmRollout, ParameterError> {
        let text = self.take(name)?;
        match RolloutValue::parse(&text) {
            Ok(said) => Ok(SsmRollout::begin(client, name, env, &said)),
            Err(source) => Err(ParameterError::Refused {
                name: name.to_owned(),
                source,
            }),
        }
    }

    fn take(&mut self, name: &str) -> Result<String, ParameterError> {
        self.0.remove(name).ok_or_else(|| ParameterError::Missing {
            name: name.to_owned(),
        })
    }
}

/// One attempt; the outer error may be transient.
async fn once(
    client: &Client,
    names: &[&str],
) -> Result<Result<AtStart, ParameterError>, CallError> {
    let request = client
        .get_parameters()
        .set_names(Some(names.iter().map(|name| (*name).to_owned()).collect()))
        .with_decryption(true);
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return Err(CallError::of(&error)),
    };
    if let Some(missing) = answer.invalid_parameters().first() {
        return Ok(Err(ParameterError::Missing {
            name: missing.clone(),
        }));
    }
    let read = answer
        .parameters
        .unwrap_or_default()
        .into_iter()
        .filter_map(|parameter| Some((parameter.name?, parameter.value?)));
    let read: BTreeMap<String, String> = read.collect();
    match names.iter().find(|name| !read.contains_key(**name)) {
        Some(_) => Err(CallError::Unreadable("it has no value".to_owned())),
        None => Ok(Ok(AtStart(read))),
    }
}

fn unanswered() -> CallError {
    CallError::Unanswered(format!("timed out after {} s", START_TIMEOUT.as_secs()))
}
