//! The ports on AWS: one adapter a file; nobody else sees an SDK type.
//!
//! Every adapter takes a ready client, so that [`client`] alone decides how long a call may take,
//! and turns what the SDK says into a `PortError` by [`error`].

pub mod alarms;
pub mod archive;
#[cfg(feature = "athena")]
pub mod athena;
mod chunk;
pub mod client;
pub mod clients;
pub mod dynamodb;
pub mod emf;
mod epoch;
pub mod error;
pub mod gateway;
pub mod kinesis;
pub mod operator_ports;
mod retry;
pub mod s3;
pub mod shards;
pub mod sns;
pub mod sqs;
pub mod ssm;
