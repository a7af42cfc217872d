//! Lambda function that merges the archive's small files of each closed day, and archives anomalies.
//!
//! A schedule invokes it every hour, and in one hour of the day it compacts. Firehose writes hundreds of small files a day, each of which a query has to open;
//! late ticks add files to earlier days. A run that does not finish is continued the next day, and a run that is killed
//! leaves nothing to repair (see `docs/archive.md`). `tickctl compact` does the same from a terminal, and a lease in
//! the archive ensures that only one of them runs at a time.
//!
//! Every hour it adds the anomalies that were stored since to the archive: this function, and not the one that finds
//! them, has what writes Parquet.

pub mod config;
pub mod event;
pub mod handler;
pub mod lambda;
