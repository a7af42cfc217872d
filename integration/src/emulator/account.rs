//! The account of the emulator.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};

/// The region of all tests.
pub const REGION: &str = "us-east-1";
/// The account of the emulator.
pub const ACCOUNT: &str = "000000000000";
/// The access key and the secret, which no real account accepts.
pub const ACCESS_KEY: &str = "test";

/// The configuration of clients for a service at an endpoint.
#[must_use]
pub fn sdk_config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new(ACCESS_KEY, ACCESS_KEY, None, None, "emulator");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}
