//! What happens to a batch that failed: it is halved (`BisectBatchOnFunctionError`), retried later,
//! or given up.

use super::shard::{Batch, Condition, InProgress, Shard};

/// The longest delay before a retry.
pub const RETRY_DELAY_MS_MAX: i64 = 60_000;

impl Shard {
    /// Splits a failed batch if bisect is on and it has several records, which uses up no retry.
    /// Otherwise the same batch is retried until its retries are used up.
    pub(super) fn retry(&mut self, mut batch: Batch, now_ms: i64) {
        if self.settings.bisect && batch.records.len() > 1 {
            let middle = batch.records.len().div_ceil(2);
            let (first, second) = batch.split_at(middle);
            self.put_back(second);
            self.put_back(first);
            return;
        }
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

    fn delay_ms(&self, retries: u32) -> i64 {
        let factor = 1_i64.checked_shl(retries.min(32)).unwrap_or(i64::MAX);
        self.settings
            .retry_delay_ms
            .saturating_mul(factor)
            .min(RETRY_DELAY_MS_MAX)
    }
}
