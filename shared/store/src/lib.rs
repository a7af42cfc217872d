//! The ports on this machine: an embedded store and stream, and the files written from them. Nothing
//! here needs an account, a server or a network.

mod analytics;
mod archiver;
mod backup;
mod candles;
mod consumer_lag;
mod day_index;
mod disk;
mod drainable_entries;
mod duplicates;
mod embedded;
mod error;
mod keys;
mod keyspaces;
mod ledger;
mod outbox;
mod pairs;
mod process_file;
mod quarantine;
mod quarantine_files;
mod retention;
mod rollout;
mod shared_state;
mod state;
mod stream;
mod ticks;
mod upgrade;
mod writer;

pub use analytics::AnalysisCounters;
pub use archiver::{Archiver, FlushError, Flushed, RangeWriter};
pub use backup::{BackedUp, BackupError, Backups, BackupsMade, STORE_FOLDER};
pub use consumer_lag::Lag;
pub use embedded::{EmbeddedConfig, EmbeddedStore};
pub use error::StorageError;
pub use keys::meta::CONSUMERS;
pub use keys::stream_block::SHARDS;
pub use process_file::ProcessFile;
pub use quarantine_files::{QuarantineFiles, QuarantineFilesError};
pub use retention::Swept;
pub use rollout::EmbeddedFlag;
pub use ticks::TickRange;
