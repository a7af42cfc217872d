//! How AWS's event source handles the records of one shard, including bisect and retries, as a
//! state machine without I/O: it returns the next step, and gets its outcome.
//!
//! If AWS's documentation is ambiguous, the harsher interpretation is used:
//! - Without bisect, a partial failure counts as a retry even if the checkpoint moved.
//! - A reported record that is not in the batch fails the whole batch.
//! - A response that fails the whole batch does not halve it, since it is not a failed invocation: the
//!   same batch is retried, and eventually given up as a whole.

use app::ports::SequenceNumber;
use std::collections::VecDeque;

use super::mapping::MappingSettings;
use super::record::Record;

/// The most bytes of an invocation's payload (Lambda's limit: 6 MB, minus room for the envelope).
pub const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024 - 1024;

/// A batch for the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The records in the shard's order; never empty.
    pub records: Vec<Record>,
    /// How often this batch failed.
    pub retries: u32,
    /// How many invocations included the first record so far.
    pub invocations: u32,
    pub(super) not_before_ms: i64,
}

impl Batch {
    /// The sequence numbers at both ends.
    #[must_use]
    pub fn range(&self) -> Option<(&SequenceNumber, &SequenceNumber)> {
        let first = self.records.first()?;
        let last = self.records.last()?;
        Some((&first.sequence_number, &last.sequence_number))
    }

    /// The batch up to a position, and the rest; both keep their attempt counts.
    pub(super) fn split_at(mut self, position: usize) -> (Self, Self) {
        let records = self.records.split_off(position.min(self.records.len()));
        let rest = Self { records, ..self };
        (self, rest)
    }
}

/// Why records were given up, with the names in AWS's failure records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The batch failed after all of its retries.
    RetryAttemptsExhausted,
    /// The records are older than the mapping allows.
    RecordAgeExceeded,
}

impl Condition {
    /// As AWS writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            Self::RecordAgeExceeded => "RecordAgeExceeded",
        }
    }
}

/// The outcome of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The whole batch is done.
    Done,
    /// The records before this one are done; this one and the following are retried.
    DoneBefore(SequenceNumber),
    /// The invocation failed, and with it the whole batch.
    Failed,
    /// The invocation succeeded, and its response fails the whole batch.
    AllReported,
    /// The function was not invoked (throttled, unavailable): this uses up no retry.
    NotInvoked,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Invoke the function with this batch, then call [`Shard::answered`].
    Invoke(Batch),
    /// Report this batch to the failure destination, then call [`Shard::given_up`].
    GiveUp(Batch, Condition),
    /// Wait until this time, epoch ms; more records may be read meanwhile.
    WaitUntil(i64),
    /// Read more records; there is nothing else to do.
    Read,
}

/// Records were not in the shard's order.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("record {next} came after {last}: records of a shard are read in ascending order")]
pub struct OutOfOrder {
    last: SequenceNumber,
    next: SequenceNumber,
}

/// No such step is in progress.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no step of this kind is in progress")]
pub struct NoStepInProgress;

#[derive(Debug)]
pub(super) enum InProgress {
    Invocation(Batch),
    GivingUp(Batch, Condition),
}

/// The reader of one shard, with one batch in flight at a time, in order (ParallelizationFactor 1).
#[derive(Debug)]
pub struct Shard {
    pub(super) settings: MappingSettings,
    waiting: VecDeque<Record>,
    window_from_ms: i64,
    batches: VecDeque<Batch>,
    pub(super) in_progress: Option<InProgress>,
    last_read: Option<SequenceNumber>,
    checkpoint: Option<SequenceNumber>,
}

impl Shard {
    /// A reader at the start of its shard.
    #[must_use]
    pub fn new(settings: MappingSettings) -> Self {
        Self {
            settings,
            waiting: VecDeque::new(),
            window_from_ms: 0,
            batches: VecDeque::new(),
            in_progress: None,
            last_read: None,
            checkpoint: None,
        }
    }

    /// The position up to which all records were processed or given up.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&SequenceNumber> {
        self.checkpoint.as_ref()
    }

    /// The position of the last record read.
    #[must_use]
    pub fn last_read(&self) -> Option<&SequenceNumber> {
        self.last_read.as_ref()
    }

    /// Whether no records are waiting or in flight.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.batches.is_empty() && self.in_progress.is_none()
    }

    /// How many records are not yet checkpointed.
    #[must_use]
    pub fn backlog_records(&self) -> usize {
        let in_progress = match &self.in_progress {
            Some(InProgress::Invocation(batch) | InProgress::GivingUp(batch, _)) => {
                batch.records.len()
            }
            None => 0,
        };
        let batched: usize = self.batches.iter().map(|batch| batch.records.len()).sum();
        self.waiting.len() + batched + in_progress
    }

    /// Adds records that were read from the stream.
    ///
    /// # Errors
    ///
    /// A record is not after the last one; those before it were added.
    pub fn offer(&mut self, records: Vec<Record>, now_ms: i64) -> Result<(), OutOfOrder> {
        for record in records {
            if let Some(last) = &self.last_read
                && record.sequence_number <= *last
            {
                return Err(OutOfOrder {
                    last: *last,
                    next: record.sequence_number,
                });
            }
            if self.waiting.is_empty() {
                self.window_from_ms = self.window_from_ms.max(now_ms);
            }
            self.last_read = Some(record.sequence_number);
            self.waiting.push_back(record);
        }
        Ok(())
    }

    /// The next step. Until its outcome is set, this returns the same step.
    pub fn step(&mut self, now_ms: i64) -> Step {
        if self.in_progress.is_none() {
            if self.batches.is_empty() {
                match self.gather(now_ms) {
                    Ok(batch) => self.batches.push_back(batch),
                    Err(step) => return step,
                }
            }
            if let Some(batch) = self.batches.pop_front() {
                if let Some(too_old) = self.too_old(&batch, now_ms) {
                    let (old, rest) = batch.split_at(too_old);
                    self.put_back(rest);
                    self.in_progress =
                        Some(InProgress::GivingUp(old, Condition::RecordAgeExceeded));
                } else if batch.not_before_ms > now_ms {
                    let until_ms = batch.not_before_ms;
                    self.batches.push_front(batch);
                    return Step::WaitUntil(until_ms);
                } else {
                    self.in_progress = Some(InProgress::Invocation(batch));
                }
            }
        }
        match &self.in_progress {
            Some(InProgress::Invocation(batch)) => Step::Invoke(batch.clone()),
            Some(InProgress::GivingUp(batch, condition)) => Step::GiveUp(batch.clone(), *condition),
            None => Step::Read,
        }
    }

    /// Sets the outcome of the invocation in progress.
    ///
    /// # Errors
    ///
    /// No invocation is in progress.
    pub fn answered(&mut self, outcome: &Outcome, now_ms: i64) -> Result<(), NoStepInProgress> {
        let Some(InProgress::Invocation(mut batch)) = self
            .in_progress
            .take_if(|step| matches!(step, InProgress::Invocation(_)))
        else {
            return Err(NoStepInProgress);
        };
        // The next window starts with the function's response.
        self.window_from_ms = self.window_from_ms.max(now_ms);
        match outcome {
            Outcome::Done => self.done(&batch),
            Outcome::NotInvoked => {
                batch.not_before_ms = now_ms.saturating_add(self.settings.retry_delay_ms);
                self.put_back(batch);
            }
            Outcome::Failed => {
                batch.invocations = batch.invocations.saturating_add(1);
                self.halve(batch, now_ms);
            }
            Outcome::AllReported => {
                batch.invocations = batch.invocations.saturating_add(1);
                self.retry(batch, now_ms);
            }
            Outcome::DoneBefore(number) => {
                batch.invocations = batch.invocations.saturating_add(1);
                self.retry_from(batch, *number, now_ms);
            }
        }
        Ok(())
    }

    /// Confirms that the batch that is being given up was reported to the failure destination.
    ///
    /// # Errors
    ///
    /// No batch is being given up.
    pub fn given_up(&mut self) -> Result<(), NoStepInProgress> {
        let Some(InProgress::GivingUp(batch, _)) = self
            .in_progress
            .take_if(|step| matches!(step, InProgress::GivingUp(..)))
        else {
            return Err(NoStepInProgress);
        };
        self.done(&batch);
        Ok(())
    }

    /// A batch of waiting records, if it is full or its window is over; otherwise the next step.
    fn gather(&mut self, now_ms: i64) -> Result<Batch, Step> {
        if self.waiting.is_empty() {
            return Err(Step::Read);
        }
        let (mut records, mut bytes, mut is_full) = (0_usize, 0_usize, false);
        for record in &self.waiting {
            let next_bytes = bytes.saturating_add(record.payload_bytes());
            // A record that is too large by itself is still sent alone, like AWS has to.
            if records > 0 && next_bytes > PAYLOAD_BYTES_MAX {
                is_full = true;
                break;
            }
            records += 1;
            bytes = next_bytes;
            if records == self.settings.batch_records_max {
                is_full = true;
                break;
            }
        }
        let due_ms = self.window_from_ms.saturating_add(self.settings.window_ms);
        if !is_full && now_ms < due_ms {
            return Err(Step::WaitUntil(due_ms));
        }
        Ok(Batch {
            records: self.waiting.drain(..records).collect(),
            retries: 0,
            invocations: 0,
            not_before_ms: now_ms,
        })
    }

    /// How many records at the start of the batch are older than allowed, if any.
    fn too_old(&self, batch: &Batch, now_ms: i64) -> Option<usize> {
        let age_max_ms = self.settings.record_age_max_ms?;
        let count = batch
            .records
            .iter()
            .take_while(|record| now_ms.saturating_sub(record.arrival_ms) > age_max_ms)
            .count();
        (count > 0).then_some(count)
    }

    pub(super) fn done(&mut self, batch: &Batch) {
        if let Some(last) = batch.records.last() {
            self.checkpoint = Some(last.sequence_number);
        }
    }

    pub(super) fn put_back(&mut self, batch: Batch) {
        if !batch.records.is_empty() {
            self.batches.push_front(batch);
        }
    }
}
