//! The binary as a process, against a stub of the webhook; and the format readers on real files.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic too; clippy excuses only the test functions themselves"
)]

mod backup;
mod beside;
mod compact;
mod cost;
mod detect;
mod doctor;
mod files;
mod load;
mod process;
mod quarantine;
mod ranges;
mod replay;
mod server;
mod stub;
mod unanswered;
mod verify;
