//! Sends dead letters back to where they can be processed, once the cause is fixed: by age, by what they are, at a
//! limited rate.
//!
//! A letter is deleted only after it was accepted by its destination. If the process ends in between, it is sent a
//! second time: consumers count a tick once.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use serde::Deserialize;
use tokio::time::Instant;

use crate::pace::{Stopped, at_once, wait_for_turn};
use crate::ports::PortError;

/// After so many receives without a new letter, the queue counts as seen. SQS may leave out messages of a queue with
/// few of them.
const EMPTY_RECEIVES_MAX: u32 = 3;

/// The most letters that a destination gets at once; at a lower rate, those of a second.
const LETTERS_AT_ONCE_MAX: usize = 10;

/// A message of a queue of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id, which stays the same however often it is received.
    pub id: String,
    /// What deletes or releases it, as of the last receive.
    pub receipt: String,
    /// Its text.
    pub body: String,
    /// When it was first sent, epoch milliseconds.
    pub sent_at_ms: i64,
}

/// What a letter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LetterKind {
    /// A tick.
    Tick,
    /// Results of the analysis for the live feed.
    Results,
    /// Records that Lambda gave up, by their positions in the stream.
    FailedBatch,
    /// None of these.
    Unreadable,
}

impl LetterKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::Tick,
        Self::Results,
        Self::FailedBatch,
        Self::Unreadable,
    ];

    /// The name in arguments and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::Results => "results",
            Self::FailedBatch => "failed_batch",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What Lambda says of a batch that it gave up. The message has positions, not the records.
/// <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedBatch {
    /// The shard.
    pub shard_id: String,
    /// The first record.
    pub start_sequence_number: String,
    /// The last record.
    pub end_sequence_number: String,
    /// When the first record arrived in the stream, RFC 3339.
    #[serde(default)]
    pub approximate_arrival_of_first_record: String,
    /// When the last one did.
    #[serde(default)]
    pub approximate_arrival_of_last_record: String,
    /// The number of records.
    pub batch_size: u64,
}

#[derive(Deserialize)]
struct Invocation {
    #[serde(rename = "requestContext")]
    request: Request,
    #[serde(rename = "KinesisBatchInfo")]
    batch: FailedBatch,
}

#[derive(Deserialize)]
struct Request {
    condition: String,
}

impl DeadLetter {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> LetterKind {
        #[derive(Deserialize)]
        struct Typed {
            r#type: String,
        }
        if self.failed_batch().is_some() {
            return LetterKind::FailedBatch;
        }
        if codec::json::from_json(self.body.as_bytes()).is_ok() {
            return LetterKind::Tick;
        }
        match serde_json::from_str::<Typed>(&self.body) {
            Ok(typed) if ["candles", "averages", "anomalies"].contains(&typed.r#type.as_str()) => {
                LetterKind::Results
            }
            Ok(_) | Err(_) => LetterKind::Unreadable,
        }
    }

    /// Why it is a dead letter, if it says so: Lambda's condition, such as `RetryAttemptsExhausted`. Messages that
    /// SQS moved itself were received too often, and do not say why.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let invocation: Invocation = serde_json::from_str(&self.body).ok()?;
        Some(invocation.request.condition)
    }

    /// The records that it points to, if it is of that kind.
    #[must_use]
    pub fn failed_batch(&self) -> Option<FailedBatch> {
        let invocation: Invocation = serde_json::from_str(&self.body).ok()?;
        Some(invocation.batch)
    }
}

/// A queue of dead letters.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// About how many letters are in it.
    async fn count(&self) -> Result<u64, PortError>;

    /// Receives a few letters, and hides them from other receivers for some minutes; none if it finds none at the
    /// moment.
    async fn receive(&self) -> Result<Vec<DeadLetter>, PortError>;

    /// Ends the hiding of letters. What is not reported is released by itself, later.
    async fn release(&self, letters: &[DeadLetter]) -> Result<(), PortError>;

    /// Deletes letters.
    async fn delete(&self, letters: &[DeadLetter]) -> Result<(), PortError>;
}

/// Accepts letters again.
#[async_trait]
pub trait LetterDestination: Send + Sync {
    /// Accepts letters durably. Returns, for each, why it was not accepted, if it was not.
    async fn accept(&self, letters: &[DeadLetter]) -> Result<Vec<Result<(), String>>, PortError>;
}

/// Which letters are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterFilter {
    /// Sent at this time or later, epoch milliseconds.
    pub from_ms: i64,
    /// Sent before this time, epoch milliseconds.
    pub to_ms: i64,
    /// Only of this kind.
    pub kind: Option<LetterKind>,
    /// Only with this reason.
    pub reason: Option<String>,
}

impl LetterFilter {
    /// Whether a letter is meant.
    #[must_use]
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        (self.from_ms..self.to_ms).contains(&letter.sent_at_ms)
            && self.kind.is_none_or(|kind| kind == letter.kind())
            && (self.reason.is_none() || self.reason == letter.reason())
    }
}

/// What is done with the letters that are meant.
#[derive(Clone, Copy)]
pub enum LetterAction<'a> {
    /// They are counted, and stay.
    Show,
    /// They are sent to their destination, at most so many a second.
    Send {
        /// The destination.
        to: &'a dyn LetterDestination,
        /// The most letters a second.
        per_second_max: u32,
    },
}

/// What was found, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequeueReport {
    /// Letters seen.
    pub seen: u64,
    /// Of these, those that are meant.
    pub matching: u64,
    /// Those that are meant, by kind and reason.
    pub by_kind: BTreeMap<(LetterKind, Option<String>), u64>,
    /// When the oldest and the newest of them were sent, epoch milliseconds.
    pub sent_at_ms: Option<(i64, i64)>,
    /// Sent again and deleted.
    pub requeued: u64,
    /// Not accepted, so that they stay, by the reason.
    pub refused: BTreeMap<String, u64>,
    /// Whether it was stopped before all were seen.
    pub stopped: bool,
}

impl RequeueReport {
    fn add(&mut self, letter: &DeadLetter) {
        self.matching += 1;
        *self
            .by_kind
            .entry((letter.kind(), letter.reason()))
            .or_default() += 1;
        let at_ms = letter.sent_at_ms;
        let (oldest, newest) = self.sent_at_ms.unwrap_or((at_ms, at_ms));
        self.sent_at_ms = Some((oldest.min(at_ms), newest.max(at_ms)));
    }
}

/// Goes through a queue of dead letters once, until `matching_max` letters that are meant were seen, or all.
///
/// # Errors
/// [`PortError`] with what was done before it. Letters that were received are visible again after some minutes.
pub async fn requeue(
    queue: &dyn DeadLetters,
    filter: &LetterFilter,
    matching_max: u64,
    action: LetterAction<'_>,
    stopped: Stopped<'_>,
) -> (RequeueReport, Result<(), PortError>) {
    let mut report = RequeueReport::default();
    let mut kept = Vec::new();
    let done = go_through(
        queue,
        filter,
        matching_max,
        action,
        stopped,
        &mut report,
        &mut kept,
    )
    .await;
    // Whatever happened: what stays need not be hidden.
    let released = match kept.is_empty() {
        true => Ok(()),
        false => queue.release(&kept).await,
    };
    (report, done.and(released))
}

async fn go_through(
    queue: &dyn DeadLetters,
    filter: &LetterFilter,
    matching_max: u64,
    action: LetterAction<'_>,
    stopped: Stopped<'_>,
    report: &mut RequeueReport,
    kept: &mut Vec<DeadLetter>,
) -> Result<(), PortError> {
    let mut seen = HashSet::new();
    let (mut empty, mut offered) = (0, 0);
    let started = Instant::now();
    while empty < EMPTY_RECEIVES_MAX && report.matching < matching_max {
        if stopped() {
            report.stopped = true;
            return Ok(());
        }
        let mut received = queue.receive().await?;
        // One that comes a second time was hidden for so long that it is not hidden any more.
        received.retain(|letter| seen.insert(letter.id.clone()));
        if received.is_empty() {
            empty += 1;
            continue;
        }
        empty = 0;
        report.seen += received.len() as u64;
        let mut meant = Vec::new();
        for letter in received {
            if filter.matches(&letter) && report.matching < matching_max {
                report.add(&letter);
                meant.push(letter);
            } else {
                kept.push(letter);
            }
        }
        let LetterAction::Send { to, per_second_max } = action else {
            kept.extend(meant);
            continue;
        };
        while !meant.is_empty() {
            let turn = wait_for_turn(started, offered, per_second_max, stopped).await;
            if turn.is_err() {
                report.stopped = true;
                kept.extend(meant);
                return Ok(());
            }
            let most = at_once(per_second_max, LETTERS_AT_ONCE_MAX);
            let later = meant.split_off(meant.len().min(most));
            let letters = std::mem::replace(&mut meant, later);
            offered += letters.len() as u64;
            if let Err(error) = send(queue, to, letters, report, kept).await {
                kept.extend(meant);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Sends letters, and deletes those that are accepted.
async fn send(
    queue: &dyn DeadLetters,
    to: &dyn LetterDestination,
    letters: Vec<DeadLetter>,
    report: &mut RequeueReport,
    kept: &mut Vec<DeadLetter>,
) -> Result<(), PortError> {
    let accepted = match to.accept(&letters).await {
        Ok(accepted) => accepted,
        Err(error) => {
            kept.extend(letters);
            return Err(error);
        }
    };
    let mut done = Vec::new();
    for (letter, accepted) in letters.into_iter().zip(accepted) {
        match accepted {
            Ok(()) => done.push(letter),
            Err(why) => {
                *report.refused.entry(why).or_default() += 1;
                kept.push(letter);
            }
        }
    }
    if !done.is_empty() {
        queue.delete(&done).await?;
        report.requeued += done.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
