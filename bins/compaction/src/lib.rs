//! Lambda function that merges the archive's small files of each closed day.
//!
//! A schedule invokes it once a day. Firehose leaves hundreds of small files a day, and a query reads each; late ticks
//! add files to earlier days. What it did not finish it does on the next day, and a run that is killed leaves nothing
//! to repair (see `docs/archive.md`). `tickctl compact` does the same from a terminal, and the lease in the archive
//! lets only one of them work.

pub mod config;
pub mod handler;
pub mod lambda;
