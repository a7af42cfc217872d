//! The rules of our model of AWS's Kinesis event source, without I/O: nothing is lost, the order is
//! kept, and poison is isolated in few steps.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic too; clippy excuses only the test functions themselves"
)]

mod answers;
mod lineage;
mod mapping;
mod properties;
mod queue;
mod rules;
mod simulation;
