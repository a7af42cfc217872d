//! The AWS adapters on an emulator, with the same contracts as the embedded store.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod analysis_table;
mod archive;
mod athena;
mod dynamodb;
mod kinesis;
mod resharding;
mod s3;
mod sns;
mod sqs;
mod ssm;
mod stage_proof;
mod verify;
