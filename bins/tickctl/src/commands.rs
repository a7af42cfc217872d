//! The subcommands, one file each: its arguments and its `run`.

pub mod compact;
pub mod load;
pub mod replay;
#[cfg(feature = "aws")]
pub mod rollout;
