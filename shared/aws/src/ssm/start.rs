//! The parameters that a process needs before it can begin: all in one call, and tried again for a
//! few seconds, since a process that does not start takes nothing at all.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::config::timeout::TimeoutConfig;
use domain::Rollout;
use secrecy::SecretString;
use tokio::time::{Instant, timeout_at};

use crate::error::CallError;
use crate::retry::jittered;
use crate::ssm::value::RolloutValue;
use crate::ssm::{ParameterError, SsmRollout};

/// How long the start of a process waits for its parameters; Lambda gives a start 10 s in all.
const START_WITHIN: Duration = Duration::from_secs(5);

/// How long one try may take: three tries at a service that is silent.
const TRY_WITHIN: Duration = Duration::from_millis(1_500);

/// The longest first wait between two tries, and the longest of all. Many processes start at once
/// under load, and SSM answers 40 calls a second unless the account pays for more.
const WAIT_FIRST: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_millis(1_600);

/// Parameters as they were read at a start. They may be secrets: there is no way to show them.
pub struct AtStart(BTreeMap<String, String>);

impl AtStart {
    /// Reads parameters (at most 10, SSM's own limit), decrypted where they are encrypted. Of
    /// `client` only region, credentials and connections are used: at a start there is more time
    /// than while a sender waits.
    ///
    /// # Errors
    /// [`ParameterError`] where one of them is missing or could not be read in 5 seconds.
    pub async fn read(client: &Client, names: &[&str]) -> Result<Self, ParameterError> {
        if names.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        let patient = TimeoutConfig::builder()
            .connect_timeout(TRY_WITHIN)
            .operation_attempt_timeout(TRY_WITHIN)
            .operation_timeout(TRY_WITHIN)
            .build();
        let config = client.config().to_builder().timeout_config(patient);
        // The tries are our own: the SDK's would not be told from a start that hangs.
        let client = Client::from_conf(config.retry_config(RetryConfig::disabled()).build());
        let deadline = Instant::now() + START_WITHIN;
        let mut longest = WAIT_FIRST;
        loop {
            let cause = match timeout_at(deadline, once(&client, names)).await {
                Ok(Ok(read)) => return read,
                Ok(Err(cause)) => cause,
                Err(_) => unanswered(),
            };
            let next_try = Instant::now() + jittered(longest);
            longest = (longest * 2).min(WAIT_MAX);
            if !cause.is_passing() || next_try >= deadline {
                return Err(ParameterError::Unread {
                    name: names.join("`, `"),
                    source: cause,
                });
            }
            tracing::warn!(%cause, "the parameters are read again");
            tokio::time::sleep_until(next_try).await;
        }
    }

    /// A secret, such as the webhook's.
    ///
    /// # Errors
    /// [`ParameterError`]; a blank secret is refused, since it would let everybody in.
    pub fn secret(&mut self, name: &str) -> Result<SecretString, ParameterError> {
        let text = self.take(name)?;
        if text.trim().is_empty() {
            return Err(ParameterError::Blank {
                name: name.to_owned(),
            });
        }
        Ok(SecretString::from(text))
    }

    /// The flag, which `client` reads anew from then on. `env` is what the process was started
    /// with: where it says that nothing goes to the stream, nothing does; and it fills in what the
    /// parameter leaves open.
    ///
    /// # Errors
    /// [`ParameterError`]: a process must not start with a flag that it does not know.
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

/// One try: the outer error may pass.
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
        Some(_) => Err(CallError::Unreadable("no value in it".to_owned())),
        None => Ok(Ok(AtStart(read))),
    }
}

fn unanswered() -> CallError {
    CallError::Unanswered(format!("{} s are over", START_WITHIN.as_secs()))
}
