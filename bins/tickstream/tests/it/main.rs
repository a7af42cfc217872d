//! The whole process, from its callers' view.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod answers;
mod archived;
mod bad_input;
mod crash;
mod disk;
mod drain;
mod feeds;
mod identity;
mod live;
mod process;
mod real;
mod rollout;
mod simulation;
mod start;
mod stop;
mod supervision;
mod upgrade;
