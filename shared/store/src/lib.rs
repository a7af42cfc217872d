//! The ports on this machine: an embedded store with its stream and queues, and what is written from
//! them to folders. Nothing here needs an account, a server or a network.

mod analytics;
mod archiver;
mod block;
mod embedded;
mod error;
mod ledger;
mod outbox;
mod pairs;
mod quarantine;
mod quarantine_files;
mod queue;
mod retention;
mod rollout;
mod spaces;
mod state;
mod stream;
mod ticks;
mod writer;

pub use archiver::{Archiver, FlushError, Flushed};
pub use embedded::{Embedded, EmbeddedConfig};
pub use error::StorageError;
pub use quarantine_files::{QuarantineFiles, QuarantineFilesError};
pub use queue::{Queue, QueueName, Taken};
pub use retention::Swept;
pub use rollout::EmbeddedFlag;
pub use stream::SHARDS;
pub use ticks::TickRange;
