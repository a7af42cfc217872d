//! The ports on this machine, as their users see them.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod archive;
mod embedded;
mod sql;
mod ticks;
