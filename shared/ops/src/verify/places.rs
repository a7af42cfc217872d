//! What a comparison reads, repairs and reports to.

use app::ports::PortError;
use app::read_back::{ArchivedTicks, Pages, ReceiptRange, StoredTicks, StreamedTicks};
use async_trait::async_trait;
use domain::Tick;
use serde::{Deserialize, Serialize};

/// Where a copy of a tick should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The stream.
    Stream,
    /// The archive.
    Archive,
}

impl Place {
    /// Both, in the order in which a tick reaches them.
    pub const ALL: [Self; 2] = [Self::Stream, Self::Archive];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Archive => "archive",
        }
    }
}

/// The three places.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    /// The store.
    pub store: &'a dyn StoredTicks,
    /// The stream.
    pub stream: &'a dyn StreamedTicks,
    /// The archive.
    pub archive: &'a dyn ArchivedTicks,
    /// The ticks on their way to the stream and the archive. `None` if they cannot be read: a tick then counts as late until
    /// it is due.
    pub pending: Option<&'a dyn PendingTicks>,
}

/// Knows which ticks are still to come to a place, so that they are neither missing there nor put there.
pub trait PendingTicks: Send + Sync {
    /// The ticks of a range that will come to the stream, since their append is recorded and not done; or that will come
    /// to the archive, since its writer has not passed their records of the stream.
    fn pending(&self, to: Place, range: ReceiptRange) -> Pages<'_, Tick>;
}

/// Puts ticks where they are missing.
#[async_trait]
pub trait Repair: Send + Sync {
    /// Appends stored ticks to the stream; returns how many. Skips those that are already on their way, if it can tell.
    async fn append(&self, ticks: &[Tick]) -> Result<u64, PortError>;
    /// Writes ticks to files of the archive. The same ticks make the same files.
    async fn archive(&self, ticks: &[Tick]) -> Result<(), PortError>;
}

/// How far a comparison is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What it does.
    pub phase: Phase,
    /// How much of that is done.
    pub done: u64,
    /// Of how much, if that is known.
    pub of: Option<u64>,
}

/// A phase of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading the store and the stream, in ticks.
    StoreAndStream,
    /// Reading the archive, in ticks.
    Archive,
    /// Comparing, in parts.
    Compare,
    /// Appending to the stream what it lacks, in ticks.
    Append,
}

/// Receives the progress of a comparison.
pub trait Watch: Send + Sync {
    /// It is so far.
    fn progress(&self, progress: Progress);
    /// Whether to stop.
    fn stopped(&self) -> bool;
}
