//! The harness of the integration tests: an emulated AWS, our functions as they are deployed, a
//! model of AWS's Kinesis event source, and fault injection. See `docs/testing.md`.

pub mod aws_parts;
pub mod bootstraps;
pub mod build_folder;
pub mod emulator;
pub mod event_source;
pub mod faults;
pub mod lambda_emulator;
pub mod not_shown;
pub mod python;
pub mod sources;
pub mod stream_metrics;
