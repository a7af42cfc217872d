//! The I/O of the event source: reads the stream's shards, invokes the function, writes to the
//! failure destination. [`Shard`] decides what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use app::ports::SequenceNumber;
use aws_config::SdkConfig;
use futures_util::future::try_join_all;
use runtime::clock::now_ms;

use super::answer::{Answer, outcome};
use super::event::{self, Origin};
use super::function::Function;
use super::lineage::{Listed, readable};
use super::mapping::MappingSettings;
use super::reading::{Reading, StartingPosition, iterator, read};
use super::shard::{Condition, Outcome, Shard, Step};

/// The time between two reads of a shard (the service's limit: 5 GetRecords per second and shard).
const READ_INTERVAL: Duration = Duration::from_millis(200);
/// How often sending a failure record is attempted before the model fails.
const DESTINATION_TRIES: u32 = 3;

/// The queue for records that were given up.
#[derive(Debug, Clone)]
pub struct FailureDestination {
    /// The SQS queue's URL.
    pub queue_url: String,
}

/// A range of records that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscardedBatch {
    /// Its shard.
    pub shard_id: String,
    /// Why.
    pub condition: Condition,
    /// The first record.
    pub first: SequenceNumber,
    /// The last record.
    pub last: SequenceNumber,
    /// How many records.
    pub records: usize,
}

/// What the event source did since it was opened.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Invocations of the function.
    pub invocations: usize,
    /// Invocations that did not finish their whole batch.
    pub failed_invocations: usize,
    /// Errors that the function raised, in order.
    pub errors: Vec<String>,
    /// Records that the function finished.
    pub records_processed: usize,
    /// Records that were given up.
    pub given_up: Vec<DiscardedBatch>,
    /// The checkpoint of each shard.
    pub checkpoints: BTreeMap<String, SequenceNumber>,
}

/// A running event source mapping.
pub struct EventSource {
    kinesis: aws_sdk_kinesis::Client,
    sqs: aws_sdk_sqs::Client,
    stream: String,
    stream_arn: String,
    function: Arc<dyn Function>,
    settings: MappingSettings,
    destination: Option<FailureDestination>,
    reading: BTreeMap<String, Reading>,
    finished: BTreeSet<String>,
    report: Report,
}

impl EventSource {
    /// Opens a mapping between a stream and a function.
    ///
    /// # Errors
    ///
    /// Settings that AWS would refuse, or a stream that cannot be read.
    pub async fn open(
        config: &SdkConfig,
        stream: &str,
        function: Arc<dyn Function>,
        settings: MappingSettings,
        from: StartingPosition,
        destination: Option<FailureDestination>,
    ) -> anyhow::Result<Self> {
        let settings = settings.checked()?;
        let kinesis = aws_sdk_kinesis::Client::new(config);
        let summary = kinesis
            .describe_stream_summary()
            .stream_name(stream)
            .send()
            .await
            .with_context(|| format!("the stream {stream} cannot be described"))?;
        let stream_arn = summary
            .stream_description_summary()
            .map(|summary| summary.stream_arn().to_owned())
            .with_context(|| format!("the stream {stream} has no ARN"))?;
        let mut source = Self {
            kinesis,
            sqs: aws_sdk_sqs::Client::new(config),
            stream: stream.to_owned(),
            stream_arn,
            function,
            settings,
            destination,
            reading: BTreeMap::new(),
            finished: BTreeSet::new(),
            report: Report::default(),
        };
        source.find_shards(from).await?;
        Ok(source)
    }

    /// The report so far.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Works until all records of the stream are processed or given up.
    ///
    /// # Errors
    ///
    /// The stream or the failure destination cannot be reached. Failures of the function are not
    /// errors.
    pub async fn drain(&mut self) -> anyhow::Result<&Report> {
        loop {
            self.find_shards(StartingPosition::TrimHorizon).await?;
            let wait_ms = self.round().await?;
            let is_drained = self
                .reading
                .values()
                .all(|reading| reading.at_end && reading.shard.is_idle());
            if is_drained && !self.find_shards(StartingPosition::TrimHorizon).await? {
                return Ok(&self.report);
            }
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
    }

    /// Works until it is stopped; a batch in flight is completed first.
    ///
    /// # Errors
    ///
    /// As [`Self::drain`].
    pub async fn run_until(
        &mut self,
        stop: impl Future<Output = ()> + Send,
    ) -> anyhow::Result<&Report> {
        let mut stop = std::pin::pin!(stop);
        loop {
            self.find_shards(StartingPosition::TrimHorizon).await?;
            let wait_ms = self.round().await?;
            tokio::select! {
                () = &mut stop => return Ok(&self.report),
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
            }
        }
    }

    /// Adds new shards whose parents were read to their end. Returns whether there were any.
    async fn find_shards(&mut self, from: StartingPosition) -> anyhow::Result<bool> {
        let mut listed = Vec::new();
        let mut page = self
            .kinesis
            .list_shards()
            .stream_name(&self.stream)
            .send()
            .await?;
        loop {
            listed.extend(page.shards().iter().cloned());
            let Some(token) = page.next_token() else {
                break;
            };
            page = self.kinesis.list_shards().next_token(token).send().await?;
        }
        let listed: Vec<Listed> = listed.iter().map(listed_shard).collect();
        let mut found = false;
        for id in readable(&listed, &self.finished) {
            if self.reading.contains_key(id) {
                continue;
            }
            let mut reading = Reading {
                origin: Origin {
                    stream_arn: self.stream_arn.clone(),
                    shard_id: id.to_owned(),
                    function_arn: self.function.arn().to_owned(),
                    region: self
                        .stream_arn
                        .split(':')
                        .nth(3)
                        .unwrap_or_default()
                        .to_owned(),
                },
                shard: Shard::new(self.settings.clone()),
                iterator: None,
                from,
                at_end: false,
                is_closed: false,
            };
            // Opened now, so "latest" means the time of opening.
            reading.iterator = iterator(&self.kinesis, &self.stream, &reading).await?;
            self.reading.insert(id.to_owned(), reading);
            found = true;
        }
        Ok(found)
    }

    /// Each shard reads once and does its next step. Returns the time until the next round, in ms.
    async fn round(&mut self) -> anyhow::Result<u64> {
        let polls = self.reading.values_mut().map(|reading| {
            poll_shard(
                &self.kinesis,
                &self.sqs,
                &self.stream,
                self.function.as_ref(),
                &self.settings,
                self.destination.as_ref(),
                reading,
            )
        });
        let read_every_ms = i64::try_from(READ_INTERVAL.as_millis()).unwrap_or(i64::MAX);
        let mut wait_ms = read_every_ms;
        for done in try_join_all(polls).await? {
            wait_ms = wait_ms.min(done.wait_ms);
            self.report.merge(done.report);
        }
        let closed: Vec<String> = self
            .reading
            .iter()
            .filter(|(_, reading)| reading.is_closed && reading.shard.is_idle())
            .map(|(id, _)| id.clone())
            .collect();
        for id in closed {
            self.reading.remove(&id);
            self.finished.insert(id);
            wait_ms = 0;
        }
        Ok(wait_ms.max(0).unsigned_abs())
    }
}

impl Report {
    fn merge(&mut self, other: Self) {
        self.invocations += other.invocations;
        self.failed_invocations += other.failed_invocations;
        self.errors.extend(other.errors);
        self.records_processed += other.records_processed;
        self.given_up.extend(other.given_up);
        self.checkpoints.extend(other.checkpoints);
    }
}

struct Polled {
    report: Report,
    wait_ms: i64,
}

fn listed_shard(shard: &aws_sdk_kinesis::types::Shard) -> Listed {
    let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
    Listed {
        id: shard.shard_id().to_owned(),
        parents: parents
            .into_iter()
            .flatten()
            .map(ToOwned::to_owned)
            .collect(),
    }
}

/// One shard: reads, then works until it has to wait or to read.
async fn poll_shard(
    kinesis: &aws_sdk_kinesis::Client,
    sqs: &aws_sdk_sqs::Client,
    stream: &str,
    function: &dyn Function,
    settings: &MappingSettings,
    destination: Option<&FailureDestination>,
    reading: &mut Reading,
) -> anyhow::Result<Polled> {
    let mut report = Report::default();
    // At most one batch ahead, since records wait in memory.
    if reading.shard.backlog_records() < settings.batch_records_max {
        read(kinesis, stream, reading).await?;
    }
    let wait_ms = loop {
        match reading.shard.step(now_ms()) {
            Step::Read => break i64::MAX,
            Step::WaitUntil(until_ms) => break until_ms.saturating_sub(now_ms()),
            Step::Invoke(batch) => {
                let answer = function
                    .invoke(event::invocation(&reading.origin, &batch))
                    .await;
                let outcome = outcome(settings, &answer);
                report.invocations += 1;
                if outcome != Outcome::Done {
                    report.failed_invocations += 1;
                }
                if let Answer::Raised(error) | Answer::NotInvoked(error) = answer {
                    report.errors.push(error);
                }
                let before = reading.shard.backlog_records();
                reading.shard.answered(&outcome, now_ms())?;
                report.records_processed += before - reading.shard.backlog_records();
            }
            Step::GiveUp(batch, condition) => {
                if let Some(destination) = destination {
                    let request_id = format!("model-{}-{}", reading.origin.shard_id, now_ms());
                    let body =
                        event::failure(&reading.origin, &batch, condition, &request_id, now_ms());
                    send_failure(sqs, destination, &body.to_string()).await?;
                }
                if let Some((first, last)) = batch.range() {
                    report.given_up.push(DiscardedBatch {
                        shard_id: reading.origin.shard_id.clone(),
                        condition,
                        first: *first,
                        last: *last,
                        records: batch.records.len(),
                    });
                }
                reading.shard.given_up()?;
            }
        }
    };
    if let Some(checkpoint) = reading.shard.checkpoint() {
        report
            .checkpoints
            .insert(reading.origin.shard_id.clone(), *checkpoint);
    }
    Ok(Polled { report, wait_ms })
}

async fn send_failure(
    sqs: &aws_sdk_sqs::Client,
    destination: &FailureDestination,
    body: &str,
) -> anyhow::Result<()> {
    let mut tries = 1;
    loop {
        let sent = sqs
            .send_message()
            .queue_url(&destination.queue_url)
            .message_body(body)
            .send()
            .await;
        match sent {
            Ok(_) => return Ok(()),
            Err(_) if tries < DESTINATION_TRIES => tries += 1,
            Err(error) => return Err(error).context("cannot write to the failure destination"),
        }
    }
}
