//! The templates of `infra/`, evaluated like CloudFormation does.
//!
//! The emulator silently ignores much of them (expiry, recovery, encryption, limits), so a deploy there
//! proves little. These tests read the files instead.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic too; clippy excuses only the test functions themselves"
)]

mod alarm_evaluator;
mod alarm_pairs;
mod alarms;
mod archive;
mod bill;
mod dashboard;
mod data;
mod deploy;
mod event_days;
mod functions;
mod lint;
mod operators;
mod permissions;
mod queues;
mod reader;
mod restored_table;
mod runbooks;
mod scaling;
mod stack;
mod startable;
