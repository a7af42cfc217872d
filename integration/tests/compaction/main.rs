//! Kills the real `tickctl compact` at any moment, in a folder and on an emulated S3, and counts the rows
//! with `ticksql`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod generated;
mod killed;
mod s3;
