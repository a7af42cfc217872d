//! Appends the records of batches that Lambda gave up to the stream again.
//!
//! Invoking the function again with them would change nothing, since what is analysed of a shard is beyond them. As
//! new records they are analysed: each tick counts unless its candle has it.

use std::sync::Arc;

use async_trait::async_trait;
use domain::Tick;

use crate::ports::{PortError, SequenceNumber, TickStream};
use crate::requeue::{DeadLetter, FailedBatch, LetterDestination};

/// Reads a part of a shard.
#[async_trait]
pub trait ShardRange: Send + Sync {
    /// The data of the records from one sequence number to another, both included, as far as the stream has them. They
    /// are the texts that the stream gave to its records.
    async fn records(
        &self,
        shard: &str,
        first: &str,
        last: &str,
    ) -> Result<Vec<Vec<u8>>, PortError>;
}

/// The stream, as a destination of batches that Lambda gave up.
pub struct StreamAgain {
    /// Where the records are read.
    pub range: Arc<dyn ShardRange>,
    /// Where they are appended.
    pub stream: Arc<dyn TickStream>,
}

#[async_trait]
impl LetterDestination for StreamAgain {
    async fn accept(&self, letters: &[DeadLetter]) -> Result<Vec<Result<(), String>>, PortError> {
        let mut accepted = Vec::with_capacity(letters.len());
        for letter in letters {
            accepted.push(match letter.failed_batch() {
                Some(batch) => self.append_again(&batch).await?,
                None => Err("it does not say which records Lambda gave up".to_owned()),
            });
        }
        Ok(accepted)
    }
}

impl StreamAgain {
    async fn append_again(&self, batch: &FailedBatch) -> Result<Result<(), String>, PortError> {
        let (first, last) = (&batch.start_sequence_number, &batch.end_sequence_number);
        let is_number = |text: &str| text.parse::<SequenceNumber>().is_ok();
        if !(is_number(first) && is_number(last)) {
            return Ok(Err("its sequence numbers cannot be read".to_owned()));
        }
        let records = self.range.records(&batch.shard_id, first, last).await?;
        if (records.len() as u64) < batch.batch_size {
            return Ok(Err(format!(
                "the stream does not have all of its records any more (received from {} to {}): compute the candles \
                 of that time with `tickctl rebuild --aws`, and delete the message: docs/runbooks/analytics-failed.md",
                batch.approximate_arrival_of_first_record, batch.approximate_arrival_of_last_record
            )));
        }
        // What is not a tick is in the quarantine already.
        let ticks: Vec<Tick> = records
            .iter()
            .filter_map(|data| codec::json::from_json(data).ok())
            .collect();
        if ticks.is_empty() {
            return Ok(Ok(()));
        }
        let refused = self
            .stream
            .append(&ticks.iter().collect::<Vec<_>>(), None)
            .await?;
        Ok(match refused.first() {
            None => Ok(()),
            Some(refused) => Err(format!("the stream refused a tick: {}", refused.reason)),
        })
    }
}
