//! Lambda function that merges the archive's small files of each closed day.
//!
//! A schedule invokes it once a day. Firehose writes hundreds of small files a day, each of which a query has to open;
//! late ticks add files to earlier days. A run that does not finish is continued the next day, and a run that is killed
//! leaves nothing to repair (see `docs/archive.md`). `tickctl compact` does the same from a terminal, and a lease in
//! the archive ensures that only one of them runs at a time.

pub mod config;
pub mod handler;
pub mod lambda;
