//! The analysis of a shard where writes cost: states are kept in memory, and are durable as a snapshot and a replay.
//!
//! A snapshot of all that a shard's analysis holds is saved from time to time, with the last record that it includes.
//! After a cold start, or when another process has analysed the shard in between, the records after the snapshot are
//! read from the stream again. Candles are stored when their [`CandleBlock`] has ended.
//!
//! **Why the results are exact.** What the memory holds is a function of the shard's records up to its position, in
//! their order. So two processes at the same position hold the same, and one at a later position holds all of an
//! earlier one's, and more. A block is stored with the position of the memory that it is from, and never replaces one
//! of a later position. A block that is not in memory is complete in the store, up to the position at least. Its
//! records are not added again: those up to its stored position are in it, and each tick is known by its member.
//!
//! **Resharding.** A shard begins with what its parents hold of its own pairs. A half of a split does not take the pairs
//! of the other half: it would hold them as they were at the split, and give that to the shard that both are merged into.
//!
//! **Who may go on.** The head of a shard names the last record that was committed. A commit is conditional on the
//! head from which it began, so that of two processes with the same batch one fails, and begins again.

mod analysis;
mod memory;
mod snapshot;

use std::ops::RangeInclusive;

use async_trait::async_trait;
use domain::analytics::{Anomaly, CandleBlock};
use domain::{Pair, Token};

use crate::ports::{PortError, SequenceNumber};

pub use analysis::{Analysed, Replayable, Settings, ShardMemory};

/// What is known about a shard, whoever analyses it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// The last record whose results were committed.
    pub last: SequenceNumber,
    /// The newest snapshot, and the one before it.
    pub snapshots: Vec<Snapshot>,
}

/// A snapshot that was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last record that it includes.
    pub position: SequenceNumber,
    /// Its name for [`Checkpoints::load`].
    pub name: String,
}

/// Keeps heads and snapshots.
#[async_trait]
pub trait Checkpoints: Send + Sync {
    /// The head of a shard, as of the last write; `None` before the first commit.
    async fn head(&self, shard: &str) -> Result<Option<Head>, PortError>;

    /// Commits the records up to `to`, if the head's last record is still `base` (`None`: there is no head). Returns
    /// whether it was.
    async fn advance(
        &self,
        shard: &str,
        base: Option<SequenceNumber>,
        to: SequenceNumber,
    ) -> Result<bool, PortError>;

    /// Removes a snapshot that is lost or unreadable from the head, if it is still there.
    async fn forget(&self, shard: &str, name: &str) -> Result<(), PortError>;

    /// The bytes of a snapshot; `None` if it does not exist.
    async fn load(&self, name: &str) -> Result<Option<Vec<u8>>, PortError>;

    /// Saves a snapshot and puts its name into the head, unless the head has one of a later position.
    async fn save(
        &self,
        shard: &str,
        position: SequenceNumber,
        bytes: Vec<u8>,
    ) -> Result<(), PortError>;
}

/// A block as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredBlock {
    /// The block.
    pub block: CandleBlock,
    /// All records up to this one are in it, if they belong to it.
    pub position: SequenceNumber,
}

/// Keeps blocks of candles, and anomalies.
#[async_trait]
pub trait Blocks: Send + Sync {
    /// The newest blocks of each pair, newest first: all that start within an hour before the newest. A block that
    /// cannot be read is left out, and counted.
    async fn newest(&self, pairs: &[Pair]) -> Result<Vec<Vec<StoredBlock>>, PortError>;

    /// The blocks of pairs that start at these times; `None` for one that is not stored or cannot be read.
    async fn blocks(&self, keys: &[(Pair, i64)]) -> Result<Vec<Option<StoredBlock>>, PortError>;

    /// Stores blocks, each unless it is stored with a later position, which is a success, too. The result has one
    /// entry for each.
    async fn put(&self, blocks: &[StoredBlock]) -> Vec<Result<(), PortError>>;

    /// Stores anomalies. The same anomaly may be stored twice.
    async fn put_anomalies(&self, anomalies: &[Anomaly]) -> Result<(), PortError>;
}

/// Records of a shard that were read again.
#[derive(Debug, Clone, Default)]
pub struct ReplayedRecords {
    /// Their positions and data, in order.
    pub records: Vec<(SequenceNumber, Vec<u8>)>,
    /// Whether these are all.
    pub complete: bool,
}

/// Reads the stream again.
#[async_trait]
pub trait ShardLog: Send + Sync {
    /// The records after one position and before another (`None`: up to the end of the shard), or the first of them.
    async fn between(
        &self,
        shard: &str,
        after: SequenceNumber,
        before: Option<SequenceNumber>,
    ) -> Result<ReplayedRecords, PortError>;

    /// The shards whose records the stream has, closed ones too.
    async fn shards(&self) -> Result<Vec<String>, PortError>;

    /// Where a shard comes from, and what belongs to it.
    async fn lineage(&self, shard: &str) -> Result<Lineage, PortError>;

    /// The hash key of a token's records.
    fn hash_key(&self, token: &Token) -> u128;
}

/// Where a shard comes from, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The shards that it was made from by a split or a merge, if the stream still has them.
    pub parents: Vec<String>,
    /// The hash keys of its records.
    pub hash_keys: RangeInclusive<u128>,
}
