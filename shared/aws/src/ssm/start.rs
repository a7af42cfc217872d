//! The parameters that a process needs at its start: all in one call, with retries for a few
//! seconds, since a process that does not start is useless.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::config::timeout::TimeoutConfig;
use secrecy::SecretString;
use tokio::time::Instant;

use crate::error::CallError;
use crate::retry::{jittered, within};
use crate::ssm::ParameterError;
use crate::ssm::get_parameters::get_parameters;

/// How long the start of a process waits for its parameters; Lambda allows 10 s for a start.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one attempt may take: this allows three attempts at a service that does not respond.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The longest first wait between two attempts, and the longest of all. Under load, many processes
/// start at once, and SSM allows 40 calls a second unless the account pays for more.
const WAIT_FIRST: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_millis(1_600);

/// Reads parameters. Only region, credentials and connections of `client` are used: a start has more
/// time than a request.
///
/// # Errors
/// [`ParameterError`] if one of them is missing or could not be read within 5 seconds.
pub(super) async fn read_at_start(
    client: &Client,
    names: &[String],
) -> Result<BTreeMap<String, SecretString>, ParameterError> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
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
        let cause = match within(deadline, get_parameters(&client, names)).await {
            Some(Ok(found)) => {
                let present = found.into_iter().map(|(name, value)| match value {
                    Some(value) => Ok((name, value)),
                    None => Err(ParameterError::Missing { name }),
                });
                return present.collect();
            }
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

fn unanswered() -> CallError {
    CallError::Unanswered(format!("timed out after {} s", START_TIMEOUT.as_secs()))
}
