//! The adapters against an emulated AWS: the same contracts that the ports on this machine keep.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod archive;
mod athena;
mod dynamodb;
mod kinesis;
mod s3;
mod sns;
mod sqs;
mod ssm;
