//! Reads a part of a shard again.

use std::time::Duration;

use app::ports::{PortError, SequenceNumber};
use app::replay::{Lineage, ReplayedRecords, ShardLog};
use app::requeue_batches::ShardRange;
use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use domain::Token;
use md5::{Digest as _, Md5};
use tokio::time::Instant;

use super::shard_reader::{Position, ShardReader};

/// The most bytes that one call returns: 4 s of a shard's 2 MB a second.
const BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// The time between two reads of a shard. The function's event source does not read it meanwhile, since its batch waits
/// for this: so there is only Firehose beside it.
const READ_INTERVAL: Duration = Duration::from_millis(250);

/// How long one call reads.
const READ_FOR: Duration = Duration::from_secs(8);

/// A stream whose shards can be read again, for as long as it keeps its records.
pub struct KinesisLog {
    reader: ShardReader,
}

impl KinesisLog {
    /// The shards of a stream.
    #[must_use]
    pub fn new(client: &Client, stream: impl Into<String>) -> Self {
        Self {
            reader: ShardReader::new(client, stream.into(), READ_INTERVAL),
        }
    }
}

#[async_trait]
impl ShardLog for KinesisLog {
    async fn between(
        &self,
        shard: &str,
        after: SequenceNumber,
        before: Option<SequenceNumber>,
    ) -> Result<ReplayedRecords, PortError> {
        let deadline = Instant::now() + READ_FOR;
        let last_read = (after > SequenceNumber::START).then(|| after.to_string());
        let mut position = self.reader.open_after(shard, last_read).await?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        loop {
            let Position::Open(cursor) = position else {
                return Ok(ReplayedRecords {
                    records,
                    complete: true,
                });
            };
            if bytes >= BYTES_MAX || Instant::now() >= deadline {
                return Ok(ReplayedRecords {
                    records,
                    complete: false,
                });
            }
            tokio::time::sleep_until(cursor.next_read).await;
            let (read, next) = self.reader.read(shard, cursor).await?;
            for record in read {
                let Ok(sequence) = record.sequence_number().parse::<SequenceNumber>() else {
                    continue;
                };
                if before.is_some_and(|it| sequence >= it) {
                    return Ok(ReplayedRecords {
                        records,
                        complete: true,
                    });
                }
                // A shard that was made anew has records with smaller numbers.
                if sequence > after {
                    bytes += record.data().as_ref().len();
                    records.push((sequence, record.data.into_inner()));
                }
            }
            let at_end = matches!(&next, Position::Open(cursor) if cursor.behind_ms == 0);
            if at_end {
                return Ok(ReplayedRecords {
                    records,
                    complete: true,
                });
            }
            position = next;
        }
    }

    async fn shards(&self) -> Result<Vec<String>, PortError> {
        let shards = self.reader.list().await?;
        Ok(shards.iter().map(|it| it.shard_id().to_owned()).collect())
    }

    async fn lineage(&self, shard: &str) -> Result<Lineage, PortError> {
        let shards = self.reader.list().await?;
        let of_shard = shards.iter().find(|it| it.shard_id() == shard);
        let parents = of_shard.into_iter().flat_map(|it| {
            let parents = [it.parent_shard_id(), it.adjacent_parent_shard_id()];
            parents.into_iter().flatten()
        });
        let is_kept = |parent: &&str| shards.iter().any(|it| it.shard_id() == *parent);
        let range = of_shard.and_then(|it| it.hash_key_range());
        let range = range.map(|it| (it.starting_hash_key(), it.ending_hash_key()));
        let (from, to) = range.unwrap_or_default();
        Ok(Lineage {
            parents: parents.filter(is_kept).map(str::to_owned).collect(),
            // A shard that is not listed has no parents either, whose pairs would be taken.
            hash_keys: from.parse().unwrap_or(0)..=to.parse().unwrap_or(u128::MAX),
        })
    }

    /// The MD5 of the partition key, which is the token.
    fn hash_key(&self, token: &Token) -> u128 {
        u128::from_be_bytes(Md5::digest(token.as_str()).into())
    }
}

#[async_trait]
impl ShardRange for KinesisLog {
    async fn records(
        &self,
        shard: &str,
        first: &str,
        last: &str,
    ) -> Result<Vec<Vec<u8>>, PortError> {
        let mut position = match self.reader.open_at(shard, first).await {
            // Kinesis refuses a number of a shard that was removed.
            Err(error) if !error.retryable => {
                tracing::warn!(shard, cause = %error.source, "the shard cannot be read at a record");
                return Ok(Vec::new());
            }
            opened => opened?,
        };
        let (Ok(first), Ok(last)) = (
            first.parse::<SequenceNumber>(),
            last.parse::<SequenceNumber>(),
        ) else {
            return Ok(Vec::new());
        };
        let mut records = Vec::new();
        while let Position::Open(cursor) = position {
            tokio::time::sleep_until(cursor.next_read).await;
            let (read, next) = self.reader.read(shard, cursor).await?;
            for record in read {
                let Ok(sequence) = record.sequence_number().parse::<SequenceNumber>() else {
                    continue;
                };
                if sequence > last {
                    return Ok(records);
                }
                if sequence >= first {
                    records.push(record.data.into_inner());
                }
                if sequence == last {
                    return Ok(records);
                }
            }
            if matches!(&next, Position::Open(cursor) if cursor.behind_ms == 0) {
                break;
            }
            position = next;
        }
        Ok(records)
    }
}
