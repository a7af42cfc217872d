//! The subcommands. Each file has the arguments and `run` of one.

pub mod backup;
pub mod compact;
pub mod cost;
pub mod detect;
pub mod load;
pub mod replay;
#[cfg(feature = "aws")]
pub mod rollout;
pub mod server;
