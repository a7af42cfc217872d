//! Reading the stream from outside the pipeline: for operators and tests.

use std::collections::BTreeMap;
use std::time::Duration;

use app::ports::{PortError, SequenceNumber};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{Record, Shard, ShardIteratorType};
use codec::error::CodecError;
use domain::Tick;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::Instant;

use crate::epoch::epoch_ms;
use crate::error::{CallError, port_error};

/// Between two reads of a shard: Kinesis takes 5 GetRecords a second and shard, from all readers
/// without enhanced fan-out together; a quarter more leaves them something.
const READ_EVERY: Duration = Duration::from_millis(250);

/// Most shards read at once.
const SHARDS_AT_ONCE_MAX: usize = 16;

/// Most records that one GetRecords gives; Kinesis' own limit.
const RECORDS_MAX: i32 = 10_000;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With the oldest record kept.
    TrimHorizon,
    /// With the first record that arrived at a time or later, epoch milliseconds.
    AtTimestamp(i64),
    /// With the next record that arrives.
    Latest,
}

/// A record as it was read.
#[derive(Debug)]
pub struct Tailed {
    /// The shard.
    pub shard_id: String,
    /// The place in the shard.
    pub sequence: SequenceNumber,
    /// When Kinesis took it, epoch milliseconds; `None` where it does not say.
    pub arrived_at_ms: Option<i64>,
    /// The partition key.
    pub partition_key: String,
    /// The tick, or why the record's data is none.
    pub tick: Result<Tick, CodecError>,
}

#[derive(Debug, Clone)]
enum Place {
    /// Not opened yet: its parents come first.
    Closed(Begin),
    Open {
        iterator: String,
        read: Option<String>,
        next_read: Instant,
        behind_ms: i64,
    },
    Ended,
}

#[derive(Debug, Clone)]
struct ShardTail {
    parents: Vec<String>,
    begin: Begin,
    place: Place,
}

/// What one read of a shard gave.
struct Read {
    shard_id: String,
    records: Vec<Record>,
    place: Place,
}

/// A reader of all shards. The shards that a resharding leaves behind are read to their end
/// before the ones that follow them, so that each token's records come in their order.
#[derive(Debug)]
pub struct StreamTail {
    client: Client,
    stream: String,
    shards: BTreeMap<String, ShardTail>,
}

impl StreamTail {
    /// Opens all shards of a stream. With [`Begin::Latest`], what arrives after the call is read.
    ///
    /// # Errors
    /// [`PortError`] where the shards cannot be listed or opened.
    pub async fn open(
        client: &Client,
        stream: impl Into<String>,
        begin: Begin,
    ) -> Result<Self, PortError> {
        let mut tail = Self {
            client: client.clone(),
            stream: stream.into(),
            shards: BTreeMap::new(),
        };
        for shard in tail.list().await? {
            let ended = shard
                .sequence_number_range()
                .is_some_and(|range| range.ending_sequence_number().is_some());
            if ended && begin == Begin::Latest {
                continue;
            }
            tail.add(&shard, begin);
        }
        tail.open_ready().await?;
        Ok(tail)
    }

    /// Reads once each shard that may be read by now, and waits until one may. The answer is empty
    /// where nothing new had arrived. A shard's records are in their order. Poll at least every
    /// 5 minutes, or a shard opened at [`Begin::Latest`] without a record so far begins anew.
    ///
    /// # Errors
    /// [`PortError`]; what other shards gave in the same turn comes again with the next one.
    pub async fn poll(&mut self) -> Result<Vec<Tailed>, PortError> {
        self.open_ready().await?;
        let due_at = |place: &Place| match place {
            Place::Open { next_read, .. } => Some(*next_read),
            Place::Closed(_) | Place::Ended => None,
        };
        let Some(first) = self
            .shards
            .values()
            .filter_map(|shard| due_at(&shard.place))
            .min()
        else {
            // Every shard has ended: the stream is gone or being resharded.
            tokio::time::sleep(READ_EVERY).await;
            return Ok(Vec::new());
        };
        tokio::time::sleep_until(first).await;
        let now = Instant::now();
        // Owned, or the future could not go from thread to thread.
        let due: Vec<(String, ShardTail)> = (self.shards.iter())
            .filter(|(_, shard)| due_at(&shard.place).is_some_and(|at| at <= now))
            .map(|(shard_id, shard)| (shard_id.clone(), shard.clone()))
            .collect();
        let tail = &*self;
        let mut reads: Vec<Read> = stream::iter(due)
            .map(|(shard_id, shard)| async move { tail.read(&shard_id, &shard).await })
            .buffered(SHARDS_AT_ONCE_MAX)
            .try_collect()
            .await?;
        let mut tailed = Vec::new();
        for read in &mut reads {
            for record in std::mem::take(&mut read.records) {
                tailed.push(tailed_record(&read.shard_id, record)?);
            }
        }
        let mut any_ended = false;
        for read in reads {
            any_ended |= matches!(read.place, Place::Ended);
            if let Some(shard) = self.shards.get_mut(&read.shard_id) {
                shard.place = read.place;
            }
        }
        if any_ended {
            self.find_children().await?;
        }
        Ok(tailed)
    }

    /// Reads until every shard has given all that had arrived when it was read last.
    ///
    /// # Errors
    /// As [`StreamTail::poll`].
    pub async fn caught_up(&mut self) -> Result<Vec<Tailed>, PortError> {
        let (all, _) = self.read_until(None).await?;
        Ok(all)
    }

    /// The same, but where the stream is written faster than it can be read, only until `deadline`;
    /// a read that has begun is seen through. Answers whether the tip was reached.
    ///
    /// # Errors
    /// As [`StreamTail::poll`].
    pub async fn toward_the_tip(
        &mut self,
        deadline: Instant,
    ) -> Result<(Vec<Tailed>, bool), PortError> {
        self.read_until(Some(deadline)).await
    }

    async fn read_until(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<(Vec<Tailed>, bool), PortError> {
        let mut all = Vec::new();
        for shard in self.shards.values_mut() {
            if let Place::Open { behind_ms, .. } = &mut shard.place {
                *behind_ms = i64::MAX;
            }
        }
        loop {
            all.extend(self.poll().await?);
            let at_tip = self.shards.values().all(|shard| match &shard.place {
                Place::Closed(_) => false,
                Place::Open { behind_ms, .. } => *behind_ms == 0,
                Place::Ended => true,
            });
            if at_tip || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok((all, at_tip));
            }
        }
    }

    fn add(&mut self, shard: &Shard, begin: Begin) {
        let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
        self.shards
            .entry(shard.shard_id().to_owned())
            .or_insert_with(|| ShardTail {
                parents: parents.into_iter().flatten().map(str::to_owned).collect(),
                begin,
                place: Place::Closed(begin),
            });
    }

    async fn find_children(&mut self) -> Result<(), PortError> {
        for shard in self.list().await? {
            // All of a new shard comes after what was read: nothing of it may be passed over.
            self.add(&shard, Begin::TrimHorizon);
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Shard>, PortError> {
        let mut shards = Vec::new();
        let mut next_token = None;
        loop {
            let request = self.client.list_shards();
            // Kinesis refuses a name beside a token.
            let request = match &next_token {
                None => request.stream_name(&self.stream),
                Some(token) => request.next_token(token),
            };
            let page = request
                .send()
                .await
                .map_err(|error| port_error("list the stream's shards", &error))?;
            shards.extend_from_slice(page.shards());
            next_token = page.next_token().map(str::to_owned);
            if next_token.is_none() {
                return Ok(shards);
            }
        }
    }

    /// Opens the shards whose parents have ended or are not read at all.
    async fn open_ready(&mut self) -> Result<(), PortError> {
        let ready: Vec<(String, Begin)> = self
            .shards
            .iter()
            .filter_map(|(shard_id, shard)| {
                let Place::Closed(begin) = &shard.place else {
                    return None;
                };
                let waits = shard.parents.iter().any(|parent| {
                    let parent = self.shards.get(parent);
                    parent.is_some_and(|parent| !matches!(parent.place, Place::Ended))
                });
                (!waits).then(|| (shard_id.clone(), *begin))
            })
            .collect();
        let tail = &*self;
        let opened: Vec<(String, Place)> = stream::iter(ready)
            .map(|(shard_id, begin)| async move {
                let iterator = tail.iterator(&shard_id, begin, None).await?;
                Ok::<_, PortError>((shard_id, opened(iterator, None)))
            })
            .buffer_unordered(SHARDS_AT_ONCE_MAX)
            .try_collect()
            .await?;
        for (shard_id, place) in opened {
            if let Some(shard) = self.shards.get_mut(&shard_id) {
                shard.place = place;
            }
        }
        Ok(())
    }

    async fn iterator(
        &self,
        shard_id: &str,
        begin: Begin,
        read: Option<&str>,
    ) -> Result<Option<String>, PortError> {
        let request = self
            .client
            .get_shard_iterator()
            .stream_name(&self.stream)
            .shard_id(shard_id);
        let request = match (read, begin) {
            (Some(sequence), _) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(sequence),
            (None, Begin::TrimHorizon) => {
                request.shard_iterator_type(ShardIteratorType::TrimHorizon)
            }
            (None, Begin::Latest) => request.shard_iterator_type(ShardIteratorType::Latest),
            (None, Begin::AtTimestamp(ms)) => request
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(ms)),
        };
        match request.send().await {
            Ok(answer) => Ok(answer.shard_iterator),
            Err(error) => Err(port_error("open a shard", &error)),
        }
    }

    async fn read(&self, shard_id: &str, shard: &ShardTail) -> Result<Read, PortError> {
        let (iterator, read) = match &shard.place {
            Place::Open { iterator, read, .. } => (iterator.clone(), read.clone()),
            Place::Closed(_) | Place::Ended => (String::new(), None),
        };
        let next_read = Instant::now() + READ_EVERY;
        let given = |records, place| {
            Ok(Read {
                shard_id: shard_id.to_owned(),
                records,
                place,
            })
        };
        let request = self.client.get_records().shard_iterator(&iterator);
        let output = match request.limit(RECORDS_MAX).send().await {
            Ok(output) => output,
            Err(error) => {
                let expired = error
                    .as_service_error()
                    .is_some_and(|refusal| refusal.is_expired_iterator_exception());
                if expired {
                    // Five minutes without a read: go on behind the last record.
                    let iterator = self
                        .iterator(shard_id, shard.begin, read.as_deref())
                        .await?;
                    return given(Vec::new(), opened(iterator, read));
                }
                let cause = CallError::of(&error);
                if !cause.is_passing() {
                    return Err(cause.at("read a shard"));
                }
                tracing::debug!(shard = shard_id, cause = %cause, "the shard is read later");
                let behind_ms = i64::MAX;
                return given(
                    Vec::new(),
                    Place::Open {
                        iterator,
                        read,
                        next_read,
                        behind_ms,
                    },
                );
            }
        };
        let last = output.records.last();
        let read = last
            .map(|record| record.sequence_number().to_owned())
            .or(read);
        let place = match output.next_shard_iterator {
            Some(iterator) => Place::Open {
                iterator,
                read,
                next_read,
                behind_ms: output.millis_behind_latest.unwrap_or(0),
            },
            None => Place::Ended,
        };
        given(output.records, place)
    }
}

fn opened(iterator: Option<String>, read: Option<String>) -> Place {
    match iterator {
        Some(iterator) => Place::Open {
            iterator,
            read,
            next_read: Instant::now(),
            behind_ms: i64::MAX,
        },
        None => Place::Ended,
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
