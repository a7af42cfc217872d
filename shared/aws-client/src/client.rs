//! How clients of AWS are made: region, credentials and endpoint come from the environment as the
//! SDK reads it (`AWS_REGION`, `AWS_ENDPOINT_URL`, the role of the function); how long a call may
//! take is decided here.

use std::error::Error as _;
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;

/// How long calls may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the first packet to an encrypted connection.
    pub connect: Duration,
    /// One attempt, with the connection where a new one is needed, until the answer's head.
    pub attempt: Duration,
    /// All attempts of a call and the waits between them.
    pub operation: Duration,
    /// Attempts of a call, the first included. Our own loops re-offer what a batch left over.
    pub attempts_max: u32,
}

/// For whoever must answer a caller: a webhook's sender waits 1 s, and 700 ms of that are ours.
pub const ANSWERING: Patience = Patience {
    connect: Duration::from_millis(300),
    attempt: Duration::from_millis(400),
    operation: Duration::from_millis(600),
    attempts_max: 2,
};

/// For whoever works off a batch: another try here costs less than the batch once more.
pub const WORKING: Patience = Patience {
    connect: Duration::from_secs(1),
    attempt: Duration::from_secs(3),
    operation: Duration::from_secs(10),
    attempts_max: 3,
};

/// A body that stands still this long is given up; the timeouts end with an answer's head.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// A profile that says nothing, under a name that nobody has.
const NO_PROFILE: &str = "[profile 8d1f7c0a-of-nobody]\n";

/// The configuration for a process of some patience: [`ANSWERING`] or [`WORKING`].
pub async fn config(patience: Patience) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(patience.connect)
        .operation_attempt_timeout(patience.attempt)
        .operation_timeout(patience.operation)
        .build();
    let stalls = StalledStreamProtectionConfig::enabled()
        .grace_period(STALLED_AFTER)
        .build();
    // A version by name: another one changes retries and timeouts, and should be chosen.
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(patience.attempts_max))
        .stalled_stream_protection(stalls)
        .load()
        .await
}

/// What an operator has not set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No region.
    #[error("no AWS region is set: set AWS_REGION, such as us-east-1")]
    Region,
    /// `AWS_PROFILE` names a profile that is not there.
    #[error(
        "there is no AWS profile `{0}` in ~/.aws/config or ~/.aws/credentials: `aws configure \
         list-profiles` tells which there are; set AWS_PROFILE to one, or unset it"
    )]
    NoProfile(String),
    /// No credentials.
    #[error(
        "no AWS credentials were found: set AWS_PROFILE (and log in with `aws sso login` where it \
         needs that), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Credentials(#[source] CredentialsError),
}

/// Checks that region and credentials are there, for a person who can set them.
///
/// # Errors
/// [`SetupError`] says what is missing.
pub async fn check(config: &SdkConfig) -> Result<(), SetupError> {
    if config.region().is_none() {
        // A profile that is not there names no region either.
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

/// The profile that the environment names, where there is none of that name: the chain of providers
/// goes on to the next then, and does not tell.
#[expect(
    deprecated,
    reason = "the new names of these types are of a crate that aws-config does not re-export"
)]
async fn missing_profile() -> Option<SetupError> {
    use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};

    // Where there is no profile at all, the provider does not look for the one that is named.
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
    let told = error.source()?.to_string();
    let (name, rest) = told.strip_prefix("profile `")?.split_once('`')?;
    let is_missing = rest.starts_with(" was not defined: could not find source profile");
    is_missing.then(|| SetupError::NoProfile(name.to_owned()))
}

/// A client for buckets. An endpoint of its own (`AWS_ENDPOINT_URL`) is an emulator, which has no name for
/// each bucket: the bucket is then part of the path.
#[must_use]
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let emulated = config.endpoint_url().is_some();
    let config = aws_sdk_s3::config::Builder::from(config);
    aws_sdk_s3::Client::from_conf(config.force_path_style(emulated).build())
}
