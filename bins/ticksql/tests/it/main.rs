//! `ticksql` as a process, on an archive generated for the test.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod answers;
#[cfg(feature = "aws")]
mod athena;
mod athena_answers;
mod history_and_shell;
mod ordered_json;
mod parameters;
mod recorded;
mod refusals;
mod same_answer;
#[cfg(feature = "aws")]
mod service;
mod world;
