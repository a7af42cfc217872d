//! Follows the stream from outside the pipeline, for operators and tests.

use std::collections::BTreeMap;
use std::time::Duration;

use app::ports::{PortError, SequenceNumber};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{Record, Shard};
use codec::error::CodecError;
use domain::Tick;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::shard_reader::{Begin, Cursor, Position, ShardReader};
use crate::epoch::epoch_ms;

/// The time between two reads of a shard. Of the five a second, two readers take some already: Lambda, which reads once a
/// second, and Firehose. A third that reads often would make them fall behind, just while somebody watches whether they do.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// The most shards that are read concurrently.
const SHARDS_AT_ONCE_MAX: usize = 16;

/// A record that was read.
#[derive(Debug)]
pub struct Tailed {
    /// The shard.
    pub shard_id: String,
    /// The position in the shard.
    pub sequence: SequenceNumber,
    /// When Kinesis accepted it, epoch milliseconds; `None` if Kinesis does not report it.
    pub arrived_at_ms: Option<i64>,
    /// The partition key.
    pub partition_key: String,
    /// The tick, or why the record's data is not one.
    pub tick: Result<Tick, CodecError>,
}

#[derive(Debug)]
struct ShardTail {
    parents: Vec<String>,
    position: Position,
}

/// A reader of all shards. After a resharding, parent shards are read to their end before their
/// children, so each token's records arrive in order.
#[derive(Debug)]
pub struct StreamTail {
    reader: ShardReader,
    shards: BTreeMap<String, ShardTail>,
}

impl StreamTail {
    /// Opens all shards of a stream. With [`Begin::Latest`], only records that arrive after the call
    /// are read.
    ///
    /// # Errors
    /// [`PortError`] if the shards cannot be listed or opened.
    pub async fn open(
        client: &Client,
        stream: impl Into<String>,
        begin: Begin,
    ) -> Result<Self, PortError> {
        let mut tail = Self {
            reader: ShardReader::new(client, stream.into(), READ_INTERVAL),
            shards: BTreeMap::new(),
        };
        for shard in tail.reader.list().await? {
            tail.add(&shard, begin);
            if is_closed(&shard)
                && begin == Begin::Latest
                && let Some(passed_over) = tail.shards.get_mut(shard.shard_id())
            {
                // Kept, so that it is not taken for a new one when the stream is resharded later.
                passed_over.position = Position::Ended;
            }
        }
        tail.open_ready().await?;
        Ok(tail)
    }

    /// Waits until a shard may be read, and reads each such shard once. The result is empty if
    /// nothing new had arrived. Records of a shard are in order. Poll at least every 5 minutes;
    /// otherwise a shard that was opened at [`Begin::Latest`] and had no record so far starts over.
    ///
    /// # Errors
    /// [`PortError`]; the records of other shards are then returned by the next call.
    pub async fn poll(&mut self) -> Result<Vec<Tailed>, PortError> {
        self.open_ready().await?;
        let open = self.shards.values().filter_map(|shard| cursor(shard));
        let Some(first) = open.map(|cursor| cursor.next_read).min() else {
            // Every shard has ended: the stream was deleted or is being resharded.
            tokio::time::sleep(READ_INTERVAL).await;
            return Ok(Vec::new());
        };
        tokio::time::sleep_until(first).await;
        let now = Instant::now();
        // Owned, since the future must be `Send`.
        let due: Vec<(String, Cursor)> = (self.shards.iter())
            .filter_map(|(shard_id, shard)| Some((shard_id.clone(), cursor(shard)?.clone())))
            .filter(|(_, cursor)| cursor.next_read <= now)
            .collect();
        let reader = &self.reader;
        let reads: Vec<(String, Vec<Record>, Position)> = stream::iter(due)
            .map(|(shard_id, cursor)| async move {
                let (records, position) = reader.read(&shard_id, cursor).await?;
                Ok::<_, PortError>((shard_id, records, position))
            })
            .buffered(SHARDS_AT_ONCE_MAX)
            .try_collect()
            .await?;
        let mut tailed = Vec::new();
        let mut positions = Vec::with_capacity(reads.len());
        for (shard_id, records, position) in reads {
            for record in records {
                tailed.push(tailed_record(&shard_id, record)?);
            }
            positions.push((shard_id, position));
        }
        let mut any_ended = false;
        for (shard_id, position) in positions {
            any_ended |= matches!(position, Position::Ended);
            if let Some(shard) = self.shards.get_mut(&shard_id) {
                shard.position = position;
            }
        }
        if any_ended {
            self.add_children().await?;
        }
        Ok(tailed)
    }

    /// Reads until every shard has returned all that had arrived at its last read.
    ///
    /// # Errors
    /// See [`StreamTail::poll`].
    pub async fn catch_up(&mut self) -> Result<Vec<Tailed>, PortError> {
        let (all, _) = self.read_all(None).await?;
        Ok(all)
    }

    /// The same, but if the stream is written faster than it can be read, only until `deadline`; a
    /// started read is completed. Returns whether the end of the stream was reached.
    ///
    /// # Errors
    /// See [`StreamTail::poll`].
    pub async fn catch_up_until(
        &mut self,
        deadline: Instant,
    ) -> Result<(Vec<Tailed>, bool), PortError> {
        self.read_all(Some(deadline)).await
    }

    /// For how long some shard could not be read: reads that are throttled are repeated without end.
    #[must_use]
    pub fn stalled_for(&self) -> Duration {
        let open = self.shards.values().filter_map(cursor);
        open.map(|cursor| cursor.read_at.elapsed())
            .max()
            .unwrap_or_default()
    }

    async fn read_all(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<(Vec<Tailed>, bool), PortError> {
        let mut all = Vec::new();
        for shard in self.shards.values_mut() {
            if let Position::Open(cursor) = &mut shard.position {
                cursor.behind_ms = i64::MAX;
            }
        }
        loop {
            all.extend(self.poll().await?);
            let caught_up = self.shards.values().all(|shard| match &shard.position {
                Position::Closed(_) => false,
                Position::Open(cursor) => cursor.behind_ms == 0,
                Position::Ended => true,
            });
            let caught_up = caught_up && !self.is_resharded().await?;
            if caught_up || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok((all, caught_up));
            }
        }
    }

    fn add(&mut self, shard: &Shard, begin: Begin) {
        let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
        self.shards
            .entry(shard.shard_id().to_owned())
            .or_insert_with(|| ShardTail {
                parents: parents.into_iter().flatten().map(str::to_owned).collect(),
                position: Position::Closed(begin),
            });
    }

    /// Whether a shard that is read was closed: what arrived since then is in its children. Kinesis may return the last
    /// record of a closed shard as its newest, together with another iterator.
    async fn is_resharded(&self) -> Result<bool, PortError> {
        let listed = self.reader.list().await?;
        let mut closed = listed.iter().filter(|shard| is_closed(shard));
        Ok(closed.any(|shard| {
            let read = self.shards.get(shard.shard_id());
            read.is_some_and(|it| !matches!(it.position, Position::Ended))
        }))
    }

    async fn add_children(&mut self) -> Result<(), PortError> {
        for shard in self.reader.list().await? {
            // A new shard continues the ones that were read, so none of its records may be skipped.
            self.add(&shard, Begin::TrimHorizon);
        }
        Ok(())
    }

    /// Opens the shards whose parents have ended or are not read at all.
    async fn open_ready(&mut self) -> Result<(), PortError> {
        let ready: Vec<(String, Begin)> = self
            .shards
            .iter()
            .filter_map(|(shard_id, shard)| {
                let Position::Closed(begin) = &shard.position else {
                    return None;
                };
                let waits = shard.parents.iter().any(|parent| {
                    let parent = self.shards.get(parent);
                    parent.is_some_and(|parent| !matches!(parent.position, Position::Ended))
                });
                (!waits).then(|| (shard_id.clone(), *begin))
            })
            .collect();
        let reader = &self.reader;
        let opened: Vec<(String, Position)> = stream::iter(ready)
            .map(|(shard_id, begin)| async move {
                let position = reader.open(&shard_id, begin, None).await?;
                Ok::<_, PortError>((shard_id, position))
            })
            .buffer_unordered(SHARDS_AT_ONCE_MAX)
            .try_collect()
            .await?;
        for (shard_id, position) in opened {
            if let Some(shard) = self.shards.get_mut(&shard_id) {
                shard.position = position;
            }
        }
        Ok(())
    }
}

fn is_closed(shard: &Shard) -> bool {
    shard
        .sequence_number_range()
        .is_some_and(|range| range.ending_sequence_number().is_some())
}

fn cursor(shard: &ShardTail) -> Option<&Cursor> {
    match &shard.position {
        Position::Open(cursor) => Some(cursor),
        Position::Closed(_) | Position::Ended => None,
    }
}

fn tailed_record(shard_id: &str, record: Record) -> Result<Tailed, PortError> {
    let sequence = record
        .sequence_number()
        .parse()
        .map_err(|error| PortError {
            operation: "read a shard",
            retryable: false,
            source: Box::new(error),
        })?;
    let arrived_at_ms = record.approximate_arrival_timestamp().map(epoch_ms);
    Ok(Tailed {
        shard_id: shard_id.to_owned(),
        sequence,
        arrived_at_ms,
        partition_key: record.partition_key.unwrap_or_default(),
        tick: codec::json::from_json(record.data.as_ref()),
    })
}
