//! The archive: ticks as Parquet files in folders by the UTC day of the event time, in a local
//! folder or on S3. `docs/archive.md` describes its layout and its rules.
//!
//! [`Archive`] writes ticks from the stream, [`days`] and [`day_files`] list the files for a
//! reader, and [`compaction`] merges many small files into a few large ones. [`AnomalyArchive`] keeps the anomalies
//! beside it.

mod anomalies;
pub mod compaction;
mod error;
mod file;
mod folder;
mod identity_sum;
mod layout;
mod lock;
mod manifest;
mod newest_file;
mod read_back;
mod repair;
mod schema;
mod snapshot;
mod staging;
mod writer;

pub use anomalies::{ANOMALIES_FOLDER, AnomalyArchive};
pub use error::ArchiveError;
pub use folder::Folder;
pub use identity_sum::IdentitySum;
pub use layout::{Day, days, table_folder};
pub use lock::{RunLock, RunLockError};
pub use manifest::{Added, MANIFEST, Manifest, ManifestError, MergedRange, hidden, visible};
pub use newest_file::{folder_problem, newest_file};
pub use read_back::{ArchiveReader, ticks_of_file};
pub use repair::add_missing;
pub use schema::readable_as;
pub use snapshot::{DayFile, day_files};
pub use writer::{Archive, Written};
