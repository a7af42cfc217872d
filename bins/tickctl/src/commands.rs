//! The subcommands. Each file has the arguments and `run` of one.

pub mod backup;
pub mod compact;
pub mod cost;
pub mod detect;
pub mod doctor;
pub mod load;
pub mod quarantine;
pub mod rebuild;
pub mod replay;
pub mod requeue;
#[cfg(feature = "aws")]
pub mod rollout;
pub mod server;
pub mod status;
pub mod verify;
