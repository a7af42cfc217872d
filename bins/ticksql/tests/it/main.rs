//! `ticksql` as a process, on an archive generated for the test.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod answers;
#[cfg(feature = "aws")]
mod athena;
mod history_and_shell;
mod parameters;
mod refusals;
#[cfg(feature = "aws")]
mod service;
mod world;
