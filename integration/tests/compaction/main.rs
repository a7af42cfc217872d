//! `tickctl compact` as a program: killed at any moment, on this machine and on an emulated S3, with
//! `ticksql` counting.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod killed;
mod made;
mod s3;
