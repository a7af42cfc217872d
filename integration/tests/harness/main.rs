//! Tests of the harness that the other integration tests use, on the emulator.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic too; clippy excuses only the test functions themselves"
)]

mod emulator;
mod event_source;
mod faults;
mod functions;
mod lambda_emulator;
mod large_delivery;
mod limits;
mod operations;
mod recovery;
mod resharding;
mod resources;
