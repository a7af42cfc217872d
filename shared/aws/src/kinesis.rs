//! The stream on Kinesis.
//!
//! What is guaranteed about order, within one call of [`KinesisStream::append`]: a tick is not
//! sent while an earlier tick of its token waits to be sent again, unless both were in the same
//! request before. So two ticks of a token can change places only where one request held both and
//! Kinesis took the later one alone; that cannot be undone, and Kinesis itself promises no order
//! within a request. Between calls there is no order. Consumers sort by event time.
//!
//! A request whose answer is lost may have been taken; it is sent again, or reported as refused,
//! so that its ticks can be in the stream twice. Consumers are idempotent by tick id.

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
use tokio::time::{Instant, timeout_at};

use crate::error::CallError;
use crate::kinesis::lane::{Lane, Waiting};
use crate::retry::Backoff;

mod lane;
pub mod tail;

/// Most requests under way at once in one call; a token's ticks are in one of them.
const REQUESTS_AT_ONCE_MAX: usize = 4;

/// The stream: a tick is a record, with its token as the partition key.
#[derive(Debug, Clone)]
pub struct KinesisStream {
    client: Client,
    stream: String,
    deadline: Duration,
}

impl KinesisStream {
    /// The stream of a name. What it refuses is tried again until `deadline` has passed since the
    /// call, and answered as refused then.
    #[must_use]
    pub fn new(client: &Client, stream: impl Into<String>, deadline: Duration) -> Self {
        // Each try is ours: only so is the deadline kept, and the order.
        let config = client.config().to_builder();
        Self {
            client: Client::from_conf(config.retry_config(RetryConfig::disabled()).build()),
            stream: stream.into(),
            deadline,
        }
    }

    /// Sends a lane to its end, one request at a time.
    ///
    /// # Errors
    /// Only where not even the first request could be made.
    async fn run(&self, mut lane: Lane, deadline: Instant) -> Result<Vec<Refused>, CallError> {
        let mut backoff = Backoff::until(deadline);
        let mut sent_any = false;
        loop {
            let chunk = lane.next_chunk(&lane::REQUEST);
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
                    lane.put_back(left);
                }
                Err(cause @ CallError::Unsent(_)) if !sent_any => return Err(cause),
                Err(cause) => {
                    lane.put_back(because(chunk, &cause));
                    if !cause.is_passing() {
                        // The rest stays behind: nothing may overtake, and the next request would
                        // hardly fare better.
                        return Ok(lane.give_up());
                    }
                }
            }
            sent_any = true;
            if !backoff.wait().await {
                return Ok(lane.give_up());
            }
        }
    }

    async fn put(
        &self,
        chunk: &[Waiting],
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
        match timeout_at(deadline, request.send()).await {
            Ok(Ok(output)) => Ok(output.records),
            Ok(Err(error)) => Err(CallError::of(&error)),
            Err(_) => Err(CallError::Unanswered(format!(
                "{} ms are over",
                self.deadline.as_millis()
            ))),
        }
    }
}

fn because(chunk: Vec<Waiting>, cause: &CallError) -> Vec<Waiting> {
    chunk
        .into_iter()
        .map(|waiting| waiting.refused(cause.to_string()))
        .collect()
}

/// The records of a request that Kinesis refused, with what it said; a record without an answer
/// counts as refused.
fn refused(chunk: Vec<Waiting>, answers: &[PutRecordsResultEntry]) -> Vec<Waiting> {
    let answers = answers.iter().map(Some).chain(std::iter::repeat(None));
    chunk
        .into_iter()
        .zip(answers)
        .filter_map(|(waiting, answer)| {
            let reason = match answer {
                None => "Kinesis gave no answer for this record".to_owned(),
                Some(answer) => {
                    let code = answer.error_code()?;
                    format!("{code}: {}", answer.error_message().unwrap_or("no message"))
                }
            };
            Some(waiting.refused(reason))
        })
        .collect()
}

/// Spreads ticks over lanes, all of a token in one: as few lanes as there are requests to make.
/// Ticks that no request can hold are answered apart.
fn lanes(ticks: &[&Tick]) -> (Vec<Lane>, Vec<Refused>) {
    let wanted = ticks.len().div_ceil(lane::REQUEST.entries_max);
    let mut lanes: Vec<Lane> = Vec::new();
    lanes.resize_with(wanted.clamp(1, REQUESTS_AT_ONCE_MAX), Lane::default);
    let mut oversized = Vec::new();
    let mut per_token: HashMap<&str, Vec<Waiting>> = HashMap::new();
    for (index, tick) in ticks.iter().enumerate() {
        let waiting = Waiting::new(index, tick);
        if waiting.bytes() > lane::RECORD_BYTES_MAX {
            oversized.push(Refused {
                index,
                reason: format!(
                    "{} bytes are more than a record's {}",
                    waiting.bytes(),
                    lane::RECORD_BYTES_MAX
                ),
            });
        } else {
            per_token
                .entry(tick.token.as_str())
                .or_default()
                .push(waiting);
        }
    }
    let mut groups: Vec<Vec<Waiting>> = per_token.into_values().collect();
    // The largest first, each to the emptiest lane.
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    for group in groups {
        if let Some(lane) = lanes.iter_mut().min_by_key(|lane| lane.len()) {
            lane.extend(group);
        }
    }
    lanes.retain(|lane| lane.len() > 0);
    for lane in &mut lanes {
        lane.sort();
    }
    (lanes, oversized)
}

#[async_trait]
impl TickStream for KinesisStream {
    /// # Errors
    /// [`PortError`] only where no request left this process, such as without credentials.
    async fn append(
        &self,
        ticks: &[&Tick],
        _: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        if ticks.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + self.deadline;
        let (lanes, mut refused) = lanes(ticks);
        let positions: Vec<Vec<usize>> = lanes.iter().map(Lane::positions).collect();
        let ended = join_all(lanes.into_iter().map(|lane| self.run(lane, deadline))).await;
        let mut not_sent = None;
        let mut sent_any = false;
        for (lane, positions) in ended.into_iter().zip(positions) {
            match lane {
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
