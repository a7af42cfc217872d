//! Reads the shards of a stream: lists them, opens iterators, and gets records.

use std::time::Duration;

use app::ports::PortError;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{Record, Shard, ShardIteratorType};
use aws_sdk_kinesis::{Client, Config};
use tokio::time::Instant;

use crate::error::{CallError, port_error};

/// The most records that one GetRecords returns; Kinesis's own limit.
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

/// The position of a reader in a shard.
#[derive(Debug, Clone)]
pub(super) enum Position {
    /// Not opened yet, since its parents are read first.
    Closed(Begin),
    /// Open for reading.
    Open(Cursor),
    /// Read to the end of a closed shard.
    Ended,
}

impl Position {
    fn opened(iterator: Option<String>, begin: Begin, last_read: Option<String>) -> Self {
        match iterator {
            Some(iterator) => Self::Open(Cursor {
                begin,
                iterator,
                last_read,
                next_read: Instant::now(),
                read_at: Instant::now(),
                behind_ms: i64::MAX,
            }),
            None => Self::Ended,
        }
    }
}

/// The position in an open shard.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    begin: Begin,
    iterator: String,
    /// The sequence number of the last record.
    last_read: Option<String>,
    /// The earliest time of the next read.
    pub(super) next_read: Instant,
    /// When it was last read, or opened.
    pub(super) read_at: Instant,
    /// How far the last read was behind the end of the shard.
    pub(super) behind_ms: i64,
}

/// Reads the shards of one stream.
#[derive(Debug)]
pub(super) struct ShardReader {
    client: Client,
    stream: String,
    read_interval: Duration,
}

impl ShardReader {
    /// A reader that reads a shard once in `read_interval` at most. Kinesis allows five reads a second and shard for all
    /// readers together.
    /// <https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>
    pub(super) fn new(client: &Client, stream: String, read_interval: Duration) -> Self {
        Self {
            client: client.clone(),
            stream,
            read_interval,
        }
    }

    /// All shards of the stream.
    pub(super) async fn list(&self) -> Result<Vec<Shard>, PortError> {
        let mut shards = Vec::new();
        let mut next_token = None;
        loop {
            let request = self.client.list_shards();
            // Kinesis refuses a name together with a token.
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

    /// Opens a shard at `begin`, or after the last record that was read.
    pub(super) async fn open(
        &self,
        shard_id: &str,
        begin: Begin,
        last_read: Option<String>,
    ) -> Result<Position, PortError> {
        let request = self
            .client
            .get_shard_iterator()
            .stream_name(&self.stream)
            .shard_id(shard_id);
        let request = match (&last_read, begin) {
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
        let output = request
            .send()
            .await
            .map_err(|error| port_error("open a shard", &error))?;
        Ok(Position::opened(output.shard_iterator, begin, last_read))
    }

    /// Opens a shard at a record that it has or had.
    pub(super) async fn open_at(
        &self,
        shard_id: &str,
        sequence: &str,
    ) -> Result<Position, PortError> {
        let request = self
            .client
            .get_shard_iterator()
            .stream_name(&self.stream)
            .shard_id(shard_id)
            .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
            .starting_sequence_number(sequence);
        let output = request.send().await;
        let output = output.map_err(|error| port_error("open a shard", &error))?;
        Ok(Position::opened(
            output.shard_iterator,
            Begin::TrimHorizon,
            None,
        ))
    }

    /// Opens a shard after a record. If the shard does not have it any more, or never had it, the shard is opened at
    /// the oldest record that is kept.
    pub(super) async fn open_after(
        &self,
        shard_id: &str,
        last_read: Option<String>,
    ) -> Result<Position, PortError> {
        let had = last_read.is_some();
        match self.open(shard_id, Begin::TrimHorizon, last_read).await {
            Err(error) if had && !error.retryable => {
                tracing::warn!(shard = shard_id, cause = %error.source, "the shard is read again from its oldest record");
                self.open(shard_id, Begin::TrimHorizon, None).await
            }
            opened => opened,
        }
    }

    /// Gets the next records of a shard, and the position after them.
    pub(super) async fn read(
        &self,
        shard_id: &str,
        cursor: Cursor,
    ) -> Result<(Vec<Record>, Position), PortError> {
        let next_read = Instant::now() + self.read_interval;
        let request = self.client.get_records().shard_iterator(&cursor.iterator);
        // A retry of the SDK would be a read more; a read that failed is repeated after the interval.
        let once = Config::builder().retry_config(RetryConfig::disabled());
        let request = request.limit(RECORDS_MAX).customize().config_override(once);
        let output = match request.send().await {
            Ok(output) => output,
            Err(error) => {
                let expired = error
                    .as_service_error()
                    .is_some_and(|refusal| refusal.is_expired_iterator_exception());
                if expired {
                    // Five minutes without a read: continue after the last record. The refused read counts as one.
                    let mut position = self.open(shard_id, cursor.begin, cursor.last_read).await?;
                    if let Position::Open(reopened) = &mut position {
                        reopened.next_read = next_read;
                    }
                    return Ok((Vec::new(), position));
                }
                let cause = CallError::of(&error);
                if !cause.is_transient() {
                    return Err(cause.at("read a shard"));
                }
                tracing::debug!(shard = shard_id, cause = %cause, "reading the shard is retried later");
                let behind_ms = i64::MAX;
                let cursor = Cursor {
                    next_read,
                    behind_ms,
                    ..cursor
                };
                return Ok((Vec::new(), Position::Open(cursor)));
            }
        };
        let last = output.records.last();
        let last_read = last
            .map(|record| record.sequence_number().to_owned())
            .or(cursor.last_read);
        let position = match output.next_shard_iterator {
            Some(iterator) => Position::Open(Cursor {
                begin: cursor.begin,
                iterator,
                last_read,
                next_read,
                read_at: Instant::now(),
                behind_ms: output.millis_behind_latest.unwrap_or(0),
            }),
            None => Position::Ended,
        };
        Ok((output.records, position))
    }
}
