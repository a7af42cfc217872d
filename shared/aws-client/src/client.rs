//! The configuration of AWS clients. Region, credentials and endpoint come from the environment, as
//! the SDK reads it (`AWS_REGION`, `AWS_ENDPOINT_URL`, the role of the function); the timeouts are
//! set here.

use std::error::Error as _;
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;

/// The timeouts of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first packet to the encrypted connection.
    pub connect: Duration,
    /// One attempt, including a new connection if needed, until the response's headers.
    pub attempt: Duration,
    /// All attempts of a call, and the waits between them.
    pub operation: Duration,
    /// Attempts of a call, including the first. Our own loops retry what a batch left unprocessed.
    pub attempts_max: u32,
}

/// For requests of a waiting caller: a webhook's sender waits 1 s, of which 700 ms are ours.
pub const INTERACTIVE: Timeouts = Timeouts {
    connect: Duration::from_millis(300),
    attempt: Duration::from_millis(400),
    operation: Duration::from_millis(600),
    attempts_max: 2,
};

/// For batch work: a retry here costs less than repeating the batch.
pub const BATCH: Timeouts = Timeouts {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(3),
    operation: Duration::from_secs(10),
    attempts_max: 3,
};

/// How long a response's body may make no progress; the other timeouts end with the headers.
const STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// An empty profile with a name that nobody uses.
const NO_PROFILE: &str = "[profile 8d1f7c0a-of-nobody]\n";

/// The configuration with the given timeouts: [`INTERACTIVE`] or [`BATCH`].
pub async fn config(timeouts: Timeouts) -> SdkConfig {
    let timeout_config = TimeoutConfig::builder()
        .connect_timeout(timeouts.connect)
        .operation_attempt_timeout(timeouts.attempt)
        .operation_timeout(timeouts.operation)
        .build();
    let stalls = StalledStreamProtectionConfig::enabled()
        .grace_period(STALL_TIMEOUT)
        .build();
    // An explicit version: another one changes retries and timeouts, so it should be a deliberate
    // choice.
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .timeout_config(timeout_config)
        .retry_config(RetryConfig::standard().with_max_attempts(timeouts.attempts_max))
        .stalled_stream_protection(stalls)
        .load()
        .await
}

/// A missing part of an operator's setup.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No region is set.
    #[error("no AWS region is set: set AWS_REGION, such as us-east-1")]
    Region,
    /// `AWS_PROFILE` names a profile that does not exist.
    #[error(
        "there is no AWS profile `{0}` in ~/.aws/config or ~/.aws/credentials: set AWS_PROFILE to \
         one that `aws configure list-profiles` lists, or unset it"
    )]
    NoProfile(String),
    /// There are no credentials.
    #[error(
        "no AWS credentials were found: set AWS_PROFILE (and log in with `aws sso login` if the \
         profile needs that), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Credentials(#[source] CredentialsError),
}

/// Checks that region and credentials are set, for a person who can set them.
///
/// # Errors
/// [`SetupError`] says what is missing.
pub async fn check(config: &SdkConfig) -> Result<(), SetupError> {
    if config.region().is_none() {
        // A missing profile has no region either, so it is the better explanation.
        return Err(missing_profile().await.unwrap_or(SetupError::Region));
    }
    let Some(provider) = config.credentials_provider() else {
        let none = CredentialsError::not_loaded("no provider");
        return Err(SetupError::Credentials(none));
    };
    match provider.provide_credentials().await {
        Ok(_) => Ok(()),
        Err(error) => Err(missing_profile()
            .await
            .unwrap_or(SetupError::Credentials(error))),
    }
}

/// Returns an error if the environment names a profile that does not exist: the SDK then silently
/// continues with the next provider.
#[expect(
    deprecated,
    reason = "the new names of these types are in a crate that aws-config does not re-export"
)]
async fn missing_profile() -> Option<SetupError> {
    use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};

    // If there is no profile at all, the provider does not look for the named one.
    let files = ProfileFiles::builder()
        .with_contents(ProfileFileKind::Config, NO_PROFILE)
        .include_default_config_file(true)
        .include_default_credentials_file(true)
        .build();
    let provider = ProfileFileCredentialsProvider::builder()
        .profile_files(files)
        .build();
    let Err(error) = provider.provide_credentials().await else {
        return None;
    };
    let message = error.source()?.to_string();
    let (name, rest) = message.strip_prefix("profile `")?.split_once('`')?;
    let is_missing = rest.starts_with(" was not defined: could not find source profile");
    is_missing.then(|| SetupError::NoProfile(name.to_owned()))
}

/// An S3 client. If `AWS_ENDPOINT_URL` selects an emulator, the bucket is part of the path, since the
/// emulator has no host name per bucket.
#[must_use]
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let emulated = config.endpoint_url().is_some();
    let config = aws_sdk_s3::config::Builder::from(config);
    aws_sdk_s3::Client::from_conf(config.force_path_style(emulated).build())
}
