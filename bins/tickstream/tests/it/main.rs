//! The whole process, from its callers' view.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod access;
mod anomalies;
mod answers;
mod archived;
mod backup;
mod bad_input;
mod crash;
mod disk;
mod drain;
mod feeds;
mod hostile;
mod hosts;
mod identity;
mod live;
mod process;
mod process_file;
mod quarantine;
mod real;
mod real_disk;
mod rebuild;
mod replayed;
mod rollout;
mod secrets;
mod simulation;
mod start;
mod stop;
mod supervision;
mod upgrade;
mod verify;
