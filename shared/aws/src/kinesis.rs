//! The stream on Kinesis.
//!
//! The order within one call of [`KinesisStream::append`] is guaranteed as follows: a tick is not
//! sent while an earlier tick of its token is waiting for a retry, unless both were in the same
//! request before. So two ticks of a token can only change places if one request had both and
//! Kinesis only accepted the later one. That cannot be undone, and Kinesis itself guarantees no
//! order within a request. There is no order between calls. Consumers sort by event time.
//!
//! If the response to a request is lost, Kinesis may have accepted it. It is sent again or reported
//! as refused, so its ticks may be in the stream twice. Consumers are idempotent by tick id.

use std::collections::HashMap;
use std::time::Duration;

use app::ports::{OutboxId, PortError, Refused, TickStream};
use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use domain::Tick;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::error::CallError;
use crate::kinesis::per_key_order::{OrderedQueue, PendingRecord};
use crate::retry::{Backoff, within};

mod per_key_order;
pub mod shard_log;
pub mod shard_reader;
pub mod streamed_ticks;
pub mod tail;

/// The most concurrent requests of one call; all ticks of a token are in the same one.
const REQUESTS_AT_ONCE_MAX: usize = 4;

/// The stream. Each tick is a record, with its token as the partition key.
#[derive(Debug, Clone)]
pub struct KinesisStream {
    client: Client,
    stream: String,
    deadline: Duration,
}

impl KinesisStream {
    /// The stream of a name. Refused ticks are retried until `deadline` has passed since the call,
    /// and then reported as refused.
    #[must_use]
    pub fn new(client: &Client, stream: impl Into<String>, deadline: Duration) -> Self {
        // All retries are ours, to respect the deadline and the order.
        let config = client.config().to_builder();
        Self {
            client: Client::from_conf(config.retry_config(RetryConfig::disabled()).build()),
            stream: stream.into(),
            deadline,
        }
    }

    /// Sends a queue to its end, one request at a time.
    ///
    /// # Errors
    /// Only if not even the first request could be sent.
    async fn run(
        &self,
        mut queue: OrderedQueue,
        deadline: Instant,
    ) -> Result<Vec<Refused>, CallError> {
        let mut backoff = Backoff::until(deadline);
        let mut sent_any = false;
        loop {
            let chunk = queue.next_chunk(&per_key_order::REQUEST);
            if chunk.is_empty() {
                return Ok(Vec::new());
            }
            match self.put(&chunk, deadline).await {
                Ok(answers) => {
                    let left = refused(chunk, &answers);
                    if left.is_empty() {
                        sent_any = true;
                        continue;
                    }
                    queue.return_refused(left);
                }
                Err(cause @ CallError::Unsent(_)) if !sent_any => return Err(cause),
                Err(cause) => {
                    queue.return_refused(with_cause(chunk, &cause));
                    if !cause.is_transient() {
                        // The rest must wait: nothing may overtake, and the next request would
                        // hardly fare better.
                        return Ok(queue.refuse_all());
                    }
                }
            }
            sent_any = true;
            if !backoff.wait().await {
                return Ok(queue.refuse_all());
            }
        }
    }

    async fn put(
        &self,
        chunk: &[PendingRecord],
        deadline: Instant,
    ) -> Result<Vec<PutRecordsResultEntry>, CallError> {
        let records: Result<Vec<_>, _> = chunk
            .iter()
            .map(|waiting| {
                PutRecordsRequestEntry::builder()
                    .data(Blob::new(waiting.data.clone()))
                    .partition_key(waiting.token.as_str())
                    .build()
            })
            .collect();
        let records = records.map_err(|error| CallError::Unsent(error.to_string()))?;
        let request = self
            .client
            .put_records()
            .stream_name(&self.stream)
            .set_records(Some(records));
        match within(deadline, request.send()).await {
            Some(Ok(output)) => Ok(output.records),
            Some(Err(error)) => Err(CallError::of(&error)),
            None => Err(CallError::Unanswered(format!(
                "timed out after {} ms",
                self.deadline.as_millis()
            ))),
        }
    }
}

fn with_cause(chunk: Vec<PendingRecord>, cause: &CallError) -> Vec<PendingRecord> {
    chunk
        .into_iter()
        .map(|waiting| waiting.refused(cause.to_string()))
        .collect()
}

/// The records of a request that Kinesis refused, with its reasons; a record without a result
/// counts as refused.
fn refused(chunk: Vec<PendingRecord>, answers: &[PutRecordsResultEntry]) -> Vec<PendingRecord> {
    let answers = answers.iter().map(Some).chain(std::iter::repeat(None));
    chunk
        .into_iter()
        .zip(answers)
        .filter_map(|(waiting, answer)| {
            let reason = match answer {
                None => "Kinesis returned no result for this record".to_owned(),
                Some(answer) => {
                    let code = answer.error_code()?;
                    format!("{code}: {}", answer.error_message().unwrap_or("no message"))
                }
            };
            Some(waiting.refused(reason))
        })
        .collect()
}

/// Distributes ticks over queues, all of a token in one, and uses no more queues than requests are
/// needed. Ticks that are too large for any request are returned separately.
fn queues(ticks: &[&Tick]) -> (Vec<OrderedQueue>, Vec<Refused>) {
    let wanted = ticks.len().div_ceil(per_key_order::REQUEST.entries_max);
    let mut queues: Vec<OrderedQueue> = Vec::new();
    queues.resize_with(wanted.clamp(1, REQUESTS_AT_ONCE_MAX), OrderedQueue::default);
    let mut oversized = Vec::new();
    let mut per_token: HashMap<&str, Vec<PendingRecord>> = HashMap::new();
    for (index, tick) in ticks.iter().enumerate() {
        let waiting = PendingRecord::new(index, tick);
        if waiting.bytes() > per_key_order::RECORD_BYTES_MAX {
            oversized.push(Refused {
                index,
                reason: format!(
                    "the record has {} bytes, but at most {} are allowed",
                    waiting.bytes(),
                    per_key_order::RECORD_BYTES_MAX
                ),
            });
        } else {
            per_token
                .entry(tick.token.as_str())
                .or_default()
                .push(waiting);
        }
    }
    let mut groups: Vec<Vec<PendingRecord>> = per_token.into_values().collect();
    // The largest group first, each to the shortest queue.
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    for group in groups {
        if let Some(queue) = queues.iter_mut().min_by_key(|queue| queue.len()) {
            queue.extend(group);
        }
    }
    queues.retain(|queue| queue.len() > 0);
    for queue in &mut queues {
        queue.sort();
    }
    (queues, oversized)
}

#[async_trait]
impl TickStream for KinesisStream {
    /// # Errors
    /// [`PortError`] only if no request was sent, such as without credentials.
    async fn append(
        &self,
        ticks: &[&Tick],
        _: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        if ticks.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + self.deadline;
        let (queues, mut refused) = queues(ticks);
        let positions: Vec<Vec<usize>> = queues.iter().map(OrderedQueue::positions).collect();
        let ended = join_all(queues.into_iter().map(|queue| self.run(queue, deadline))).await;
        let mut not_sent = None;
        let mut sent_any = false;
        for (outcome, positions) in ended.into_iter().zip(positions) {
            match outcome {
                Ok(left) => {
                    sent_any = true;
                    refused.extend(left);
                }
                Err(cause) => {
                    refused.extend(positions.into_iter().map(|index| Refused {
                        index,
                        reason: cause.to_string(),
                    }));
                    not_sent = Some(cause);
                }
            }
        }
        if let Some(cause) = not_sent
            && !sent_any
        {
            return Err(cause.at("append to the stream"));
        }
        refused.sort_by_key(|refused| refused.index);
        Ok(refused)
    }
}
