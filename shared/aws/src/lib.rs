//! The ports on AWS: one adapter per file. No other crate sees an SDK type.
//!
//! Every adapter takes a configured client, so only [`client`] sets timeouts, and converts SDK
//! errors to `PortError` with [`error`].

// The functions and operators' tools need no other crate for these.
pub use aws_client::{client, error};

pub mod alarms;
pub mod archive;
mod chunk;
pub mod clients;
pub mod dynamodb;
pub mod emf;
mod epoch;
pub mod gateway;
pub mod kinesis;
mod metric_data;
pub mod operator_ports;
pub mod project_metrics;
mod retry;
pub mod s3;
pub mod shards;
pub mod sns;
pub mod sqs;
pub mod ssm;
pub mod stream_metrics;
