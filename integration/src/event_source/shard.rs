//! What AWS's event source does with the records of one shard, as a state machine without input and
//! output: it says what to do next, and is told what came of it.
//!
//! Where AWS's documentation leaves a question open, the harsher reading is taken:
//! - Without bisect, a partial failure counts as a retry even if the checkpoint moved.
//! - A reported record that is not in the batch fails the whole batch.
//! - A partial failure at the first record is no progress: with bisect the batch is halved, without it
//!   the same batch comes again, and in the end all of it is given up.

use app::ports::SequenceNumber;
use std::collections::VecDeque;

use super::record::Record;
use super::settings::Settings;

/// Most bytes of an invocation's payload (Lambda's limit: 6 MB, here with room for the frame).
pub const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024 - 1024;
/// Longest delay before a retry.
pub const RETRY_DELAY_MS_MAX: i64 = 60_000;

/// A batch, as it is offered to the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The records in the shard's order; never empty.
    pub records: Vec<Record>,
    /// How often these records as one batch went to the function and failed.
    pub retries: u32,
    /// In how many invocations the first record was, before the next one.
    pub invocations: u32,
    not_before_ms: i64,
}

impl Batch {
    /// The sequence numbers at both ends.
    #[must_use]
    pub fn range(&self) -> Option<(&SequenceNumber, &SequenceNumber)> {
        let first = self.records.first()?;
        let last = self.records.last()?;
        Some((&first.sequence_number, &last.sequence_number))
    }
}

/// Why records were given up, by the names of AWS's failure records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The batch failed once more than its retries.
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

/// What came of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The whole batch is done.
    Done,
    /// What is before this record is done; this one and what follows comes again.
    DoneBefore(SequenceNumber),
    /// The invocation failed, and with it the whole batch.
    Failed,
    /// The function was not invoked (throttled, not there): no retry is used up.
    NotInvoked,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Invoke the function with this batch, then call [`Shard::answered`].
    Invoke(Batch),
    /// Tell the failure destination of this batch, then call [`Shard::given_up`].
    GiveUp(Batch, Condition),
    /// Nothing before this time, epoch ms; more records may be read meanwhile.
    WaitUntil(i64),
    /// Nothing at all until there are records.
    Read,
}

/// Records came in another order than the shard's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("record {next} came after {last}: records of a shard are read in ascending order")]
pub struct OutOfOrder {
    last: SequenceNumber,
    next: SequenceNumber,
}

/// Nothing is in flight that could have been answered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no step of this kind is under way")]
pub struct NothingUnderWay;

#[derive(Debug)]
enum UnderWay {
    Invocation(Batch),
    GivingUp(Batch, Condition),
}

/// One shard's reader: one batch in flight, in order (ParallelizationFactor 1).
#[derive(Debug)]
pub struct Shard {
    settings: Settings,
    waiting: VecDeque<Record>,
    window_from_ms: i64,
    batches: VecDeque<Batch>,
    under_way: Option<UnderWay>,
    last_read: Option<SequenceNumber>,
    checkpoint: Option<SequenceNumber>,
}

impl Shard {
    /// A reader at the start of its shard.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            waiting: VecDeque::new(),
            window_from_ms: 0,
            batches: VecDeque::new(),
            under_way: None,
            last_read: None,
            checkpoint: None,
        }
    }

    /// Up to where everything is processed or given up.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&SequenceNumber> {
        self.checkpoint.as_ref()
    }

    /// Up to where records were read.
    #[must_use]
    pub fn last_read(&self) -> Option<&SequenceNumber> {
        self.last_read.as_ref()
    }

    /// Whether nothing is read, waiting or in flight.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.batches.is_empty() && self.under_way.is_none()
    }

    /// How many records are held and not yet checkpointed.
    #[must_use]
    pub fn backlog_records(&self) -> usize {
        let under_way = match &self.under_way {
            Some(UnderWay::Invocation(batch) | UnderWay::GivingUp(batch, _)) => batch.records.len(),
            None => 0,
        };
        let batched: usize = self.batches.iter().map(|batch| batch.records.len()).sum();
        self.waiting.len() + batched + under_way
    }

    /// Takes records that were read from the stream.
    ///
    /// # Errors
    ///
    /// A record that is not after the last one; those before it are taken.
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

    /// What to do now. Asked again before an answer, it says the same.
    pub fn step(&mut self, now_ms: i64) -> Step {
        if self.under_way.is_none() {
            if self.batches.is_empty() {
                match self.gather(now_ms) {
                    Ok(batch) => self.batches.push_back(batch),
                    Err(step) => return step,
                }
            }
            if let Some(batch) = self.batches.pop_front() {
                if let Some(too_old) = self.too_old(&batch, now_ms) {
                    let (old, rest) = split(batch, too_old);
                    self.put_back(rest);
                    self.under_way = Some(UnderWay::GivingUp(old, Condition::RecordAgeExceeded));
                } else if batch.not_before_ms > now_ms {
                    let until_ms = batch.not_before_ms;
                    self.batches.push_front(batch);
                    return Step::WaitUntil(until_ms);
                } else {
                    self.under_way = Some(UnderWay::Invocation(batch));
                }
            }
        }
        match &self.under_way {
            Some(UnderWay::Invocation(batch)) => Step::Invoke(batch.clone()),
            Some(UnderWay::GivingUp(batch, condition)) => Step::GiveUp(batch.clone(), *condition),
            None => Step::Read,
        }
    }

    /// Tells what came of the invocation under way.
    ///
    /// # Errors
    ///
    /// No invocation is under way.
    pub fn answered(&mut self, outcome: &Outcome, now_ms: i64) -> Result<(), NothingUnderWay> {
        let Some(UnderWay::Invocation(mut batch)) = self
            .under_way
            .take_if(|step| matches!(step, UnderWay::Invocation(_)))
        else {
            return Err(NothingUnderWay);
        };
        // The next window begins when the function has answered.
        self.window_from_ms = self.window_from_ms.max(now_ms);
        match outcome {
            Outcome::Done => self.done(&batch),
            Outcome::NotInvoked => {
                batch.not_before_ms = now_ms.saturating_add(self.settings.retry_delay_ms);
                self.put_back(batch);
            }
            Outcome::Failed => {
                batch.invocations = batch.invocations.saturating_add(1);
                self.retry(batch, now_ms);
            }
            Outcome::DoneBefore(number) => {
                batch.invocations = batch.invocations.saturating_add(1);
                let position = batch
                    .records
                    .iter()
                    .position(|record| record.sequence_number == *number);
                match position {
                    None | Some(0) => self.retry(batch, now_ms),
                    Some(position) => {
                        let (before, rest) = split(batch, position);
                        self.done(&before);
                        if self.settings.bisect {
                            // Split at the record that was named: no retry is used up.
                            self.put_back(rest);
                        } else {
                            self.retry(rest, now_ms);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells that the failure destination knows of the batch that is being given up.
    ///
    /// # Errors
    ///
    /// No batch is being given up.
    pub fn given_up(&mut self) -> Result<(), NothingUnderWay> {
        let Some(UnderWay::GivingUp(batch, _)) = self
            .under_way
            .take_if(|step| matches!(step, UnderWay::GivingUp(..)))
        else {
            return Err(NothingUnderWay);
        };
        self.done(&batch);
        Ok(())
    }

    /// A batch of what waits, if it is full or its window is over; else what to do instead.
    fn gather(&mut self, now_ms: i64) -> Result<Batch, Step> {
        if self.waiting.is_empty() {
            return Err(Step::Read);
        }
        let (mut records, mut bytes, mut is_full) = (0_usize, 0_usize, false);
        for record in &self.waiting {
            let next_bytes = bytes.saturating_add(record.payload_bytes());
            // A record that is too large on its own still goes out alone: AWS would have to as well.
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

    /// How many records at the head of the batch are older than allowed, if any.
    fn too_old(&self, batch: &Batch, now_ms: i64) -> Option<usize> {
        let age_max_ms = self.settings.record_age_max_ms?;
        let count = batch
            .records
            .iter()
            .take_while(|record| now_ms.saturating_sub(record.arrival_ms) > age_max_ms)
            .count();
        (count > 0).then_some(count)
    }

    fn done(&mut self, batch: &Batch) {
        if let Some(last) = batch.records.last() {
            self.checkpoint = Some(last.sequence_number);
        }
    }

    fn put_back(&mut self, batch: Batch) {
        if !batch.records.is_empty() {
            self.batches.push_front(batch);
        }
    }

    /// Splits a failed batch where bisect is on and it has several records, which uses up no retry;
    /// otherwise the same batch comes again until its retries are used up.
    fn retry(&mut self, mut batch: Batch, now_ms: i64) {
        if self.settings.bisect && batch.records.len() > 1 {
            let middle = batch.records.len().div_ceil(2);
            let (first, second) = split(batch, middle);
            self.put_back(second);
            self.put_back(first);
            return;
        }
        if self
            .settings
            .retries_max
            .is_some_and(|retries_max| batch.retries >= retries_max)
        {
            self.under_way = Some(UnderWay::GivingUp(batch, Condition::RetryAttemptsExhausted));
            return;
        }
        batch.not_before_ms = now_ms.saturating_add(self.delay_ms(batch.retries));
        batch.retries = batch.retries.saturating_add(1);
        self.put_back(batch);
    }

    fn delay_ms(&self, retries: u32) -> i64 {
        let factor = 1_i64.checked_shl(retries.min(32)).unwrap_or(i64::MAX);
        self.settings
            .retry_delay_ms
            .saturating_mul(factor)
            .min(RETRY_DELAY_MS_MAX)
    }
}

/// The batch up to a position, and from it on; both keep how often they were tried.
fn split(mut batch: Batch, position: usize) -> (Batch, Batch) {
    let records = batch.records.split_off(position.min(batch.records.len()));
    let rest = Batch { records, ..batch };
    (batch, rest)
}
