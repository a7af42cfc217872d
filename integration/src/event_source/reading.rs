//! Reads a shard of a stream: iterators, GetRecords, and the end of the shard.

use anyhow::Context as _;
use aws_sdk_kinesis::types::ShardIteratorType;
use runtime::clock::now_ms;

use super::event::Origin;
use super::record::Record;
use super::shard::Shard;

/// Where a new mapping starts to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingPosition {
    /// At the oldest record in the stream.
    TrimHorizon,
    /// After the newest one.
    Latest,
}

/// A shard that is being read.
pub(super) struct Reading {
    pub(super) origin: Origin,
    pub(super) shard: Shard,
    pub(super) iterator: Option<String>,
    pub(super) from: StartingPosition,
    pub(super) at_end: bool,
    pub(super) is_closed: bool,
}

/// Reads once, unless the end of the shard was reached.
pub(super) async fn read(
    kinesis: &aws_sdk_kinesis::Client,
    stream: &str,
    reading: &mut Reading,
) -> anyhow::Result<()> {
    if reading.is_closed {
        return Ok(());
    }
    if reading.iterator.is_none() {
        reading.iterator = iterator(kinesis, stream, reading).await?;
    }
    let answer = kinesis
        .get_records()
        .set_shard_iterator(reading.iterator.clone())
        .send()
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let error = error.into_service_error();
            reading.at_end = false;
            if error.is_expired_iterator_exception() {
                // The next round continues after the last record.
                reading.iterator = None;
            } else if !error.is_provisioned_throughput_exceeded_exception() {
                return Err(error).context("GetRecords failed");
            }
            return Ok(());
        }
    };
    let mut records = Vec::with_capacity(answer.records().len());
    for record in answer.records() {
        let arrival_ms = record
            .approximate_arrival_timestamp()
            .and_then(|time| time.to_millis().ok())
            .unwrap_or_else(now_ms);
        records.push(Record {
            sequence_number: record.sequence_number().parse()?,
            arrival_ms,
            partition_key: record.partition_key().unwrap_or_default().to_owned(),
            data: record.data().as_ref().to_vec(),
        });
    }
    reading.at_end = records.is_empty() && answer.millis_behind_latest().unwrap_or(0) == 0;
    reading.shard.offer(records, now_ms())?;
    reading.iterator = answer.next_shard_iterator().map(ToOwned::to_owned);
    if reading.iterator.is_none() {
        reading.is_closed = true;
        reading.at_end = true;
    }
    Ok(())
}

/// An iterator after the last record, or at the mapping's starting position.
pub(super) async fn iterator(
    kinesis: &aws_sdk_kinesis::Client,
    stream: &str,
    reading: &Reading,
) -> anyhow::Result<Option<String>> {
    let request = kinesis
        .get_shard_iterator()
        .stream_name(stream)
        .shard_id(&reading.origin.shard_id);
    let request = match (reading.shard.last_read(), reading.from) {
        (Some(last), _) => request
            .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
            .starting_sequence_number(last.to_string()),
        (None, StartingPosition::TrimHorizon) => {
            request.shard_iterator_type(ShardIteratorType::TrimHorizon)
        }
        (None, StartingPosition::Latest) => request.shard_iterator_type(ShardIteratorType::Latest),
    };
    let answer = request.send().await.context("GetShardIterator failed")?;
    Ok(answer.shard_iterator().map(ToOwned::to_owned))
}
