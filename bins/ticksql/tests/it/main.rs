//! `ticksql` as a process, on an archive made for the test.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod answers;
#[cfg(feature = "aws")]
mod athena;
mod made;
mod parameters;
mod refusals;
mod remembered;
#[cfg(feature = "aws")]
mod service;
