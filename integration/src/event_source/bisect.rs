//! What happens to a batch that failed: it is halved (`BisectBatchOnFunctionError`), continued at the
//! record that the function reported, retried later, or given up.
//!
//! Pages of the AWS Lambda Developer Guide: "Configuring partial batch response with Kinesis Data Streams
//! and Lambda", section "Bisecting a batch", and "Retain discarded batch records for a Kinesis Data
//! Streams event source in Lambda", which says that splitting uses up no retry.

use app::ports::SequenceNumber;

use super::shard::{Batch, Condition, InProgress, Shard};

/// The longest delay before a retry.
pub const RETRY_DELAY_MS_MAX: i64 = 60_000;

impl Shard {
    /// After an error: halves the batch if bisect is on and it has several records, which uses up no
    /// retry. Otherwise it is retried.
    pub(super) fn halve(&mut self, batch: Batch, now_ms: i64) {
        if self.settings.bisect && batch.records.len() > 1 {
            let middle = batch.records.len().div_ceil(2);
            let (first, second) = batch.split_at(middle);
            self.put_back(second);
            self.put_back(first);
            return;
        }
        self.retry(batch, now_ms);
    }

    /// Retries the same batch later, or gives it up if its retries are used up.
    pub(super) fn retry(&mut self, mut batch: Batch, now_ms: i64) {
        if self
            .settings
            .retries_max
            .is_some_and(|retries_max| batch.retries >= retries_max)
        {
            self.in_progress = Some(InProgress::GivingUp(
                batch,
                Condition::RetryAttemptsExhausted,
            ));
            return;
        }
        batch.not_before_ms = now_ms.saturating_add(self.delay_ms(batch.retries));
        batch.retries = batch.retries.saturating_add(1);
        self.put_back(batch);
    }

    /// Continues at the record that the function reported; those before it are done. With bisect, this
    /// splits the batch at that record, which uses up no retry. If it is the first record, nothing is split
    /// off: the whole batch is retried, and never halved.
    pub(super) fn retry_from(&mut self, batch: Batch, number: SequenceNumber, now_ms: i64) {
        let mut records = batch.records.iter();
        let position = records.position(|record| record.sequence_number == number);
        let Some(position) = position.filter(|position| *position > 0) else {
            return self.retry(batch, now_ms);
        };
        let (before, rest) = batch.split_at(position);
        self.done(&before);
        if self.settings.bisect {
            self.put_back(rest);
        } else {
            self.retry(rest, now_ms);
        }
    }

    fn delay_ms(&self, retries: u32) -> i64 {
        let factor = 1_i64.checked_shl(retries.min(32)).unwrap_or(i64::MAX);
        self.settings
            .retry_delay_ms
            .saturating_mul(factor)
            .min(RETRY_DELAY_MS_MAX)
    }
}
