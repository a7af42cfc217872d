//! The archive: ticks as Parquet files in folders by the UTC day of the event time, on a local
//! folder and on S3 alike. `docs/archive.md` tells its layout and its rules.
//!
//! [`Archive`] writes what the stream holds, [`days`] and [`day_files`] tell a reader what to read,
//! and [`compaction`] makes few large files of many small ones.

pub mod compaction;
mod file;
mod folder;
mod id_sum;
mod layout;
mod lock;
mod manifest;
mod schema;
mod snapshot;
mod staging;
mod writer;

pub use folder::Folder;
pub use id_sum::IdSum;
pub use layout::{Day, days, table_folder};
pub use lock::{RunLock, RunLockError};
pub use manifest::{Added, Folded, MANIFEST, Manifest, ManifestError, hidden, visible};
pub use schema::readable;
pub use snapshot::{DayFile, day_files};
pub use writer::{Archive, ArchiveError, Written};
