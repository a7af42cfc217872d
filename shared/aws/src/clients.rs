//! Creates the clients for the wiring of a process. A function only creates those that it uses,
//! since each adds to the cold start. All share the connections and credentials of one
//! [`SdkConfig`].

use aws_config::SdkConfig;

/// For tables.
#[must_use]
pub fn dynamodb(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(config)
}

/// For streams.
#[must_use]
pub fn kinesis(config: &SdkConfig) -> aws_sdk_kinesis::Client {
    aws_sdk_kinesis::Client::new(config)
}

/// For queues.
#[must_use]
pub fn sqs(config: &SdkConfig) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(config)
}

/// For topics.
#[must_use]
pub fn sns(config: &SdkConfig) -> aws_sdk_sns::Client {
    aws_sdk_sns::Client::new(config)
}

/// The client for parameters, for use in signatures.
pub type SsmClient = aws_sdk_ssm::Client;

/// For parameters.
#[must_use]
pub fn ssm(config: &SdkConfig) -> SsmClient {
    aws_sdk_ssm::Client::new(config)
}

/// For buckets. A custom endpoint (`AWS_ENDPOINT_URL`) is an emulator, which has no host name per
/// bucket, so the bucket is in the path.
#[must_use]
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let emulated = config.endpoint_url().is_some();
    let config = aws_sdk_s3::config::Builder::from(config);
    aws_sdk_s3::Client::from_conf(config.force_path_style(emulated).build())
}
