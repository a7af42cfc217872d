//! One batch of one shard: read, folded, committed; poison set aside.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use app::analyse::{Analyser, AnalysisFeed};
use app::poison;
use app::ports::{AnalyticsStore, Clock, PortError, Quarantine, SequenceNumber, StreamRecord};
use aws_lambda_events::event::kinesis::KinesisEvent;
use domain::analytics::Rules;
use domain::{Malformed, Reason};
use runtime::batch::{self, BatchResponse, ShardBatch};
use tokio::sync::Mutex;

/// Shards whose states an instance keeps in memory. One instance mostly serves one shard; with
/// more, all are read from the store again.
const WARM_SHARDS_MAX: usize = 8;

/// How often a batch is folded: once more where its states had moved on in the store, which is
/// how an instance learns that another one served the shard in between.
const FOLDS_MAX: u32 = 2;

/// Where the quarantine says that poison came from.
const PLACE: &str = "kinesis";

/// The analysis, with the states of the shards that this instance served.
pub struct Analytics {
    store: Arc<dyn AnalyticsStore>,
    feed: Arc<dyn AnalysisFeed>,
    quarantine: Arc<dyn Quarantine>,
    clock: Arc<dyn Clock>,
    rules: Rules,
    warm: Mutex<HashMap<String, Analyser>>,
}

/// What a batch holds.
#[derive(Default)]
struct Decoded {
    records: Vec<StreamRecord>,
    poison: Vec<Malformed>,
}

impl Analytics {
    /// An analysis that starts from what the store holds.
    #[must_use]
    pub fn new(
        store: Arc<dyn AnalyticsStore>,
        feed: Arc<dyn AnalysisFeed>,
        quarantine: Arc<dyn Quarantine>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            feed,
            quarantine,
            clock,
            rules: Rules::default(),
            warm: Mutex::default(),
        }
    }

    /// Takes an event; what was not done is named in the answer, and comes again.
    ///
    /// # Errors
    /// None: a failure is a part of the answer.
    pub async fn handle(&self, event: KinesisEvent) -> Result<BatchResponse, Infallible> {
        let analyse = async |batch: &ShardBatch| self.analyse(batch).await;
        Ok(batch::kinesis(event, analyse).await)
    }

    /// Answers the position from which the batch must come again.
    async fn analyse(&self, batch: &ShardBatch) -> Option<usize> {
        let Decoded { records, poison } = decode(batch);
        if let Err(error) = self.fold(&batch.shard, &records).await {
            tracing::error!(
                error = %error, cause = %error.source, shard = batch.shard, records = records.len(),
                "a batch was not analysed and comes again"
            );
            return Some(0);
        }
        // After the commit, so that a batch that comes again quarantines its poison once.
        let first = poison.first().map(|entry| entry.index)?;
        let now_ms = self.clock.now_ms();
        match poison::keep(self.quarantine.as_ref(), PLACE, poison, now_ms).await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(
                    error = %error, cause = %error.source, shard = batch.shard,
                    "poison was not quarantined: its records come again"
                );
                Some(first)
            }
        }
    }

    /// Folds and commits, from the states in memory where they are the newest.
    async fn fold(&self, shard: &str, records: &[StreamRecord]) -> Result<(), PortError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut warm = self.warm.lock().await;
        if warm.len() >= WARM_SHARDS_MAX && !warm.contains_key(shard) {
            warm.clear();
        }
        for fold in 1..=FOLDS_MAX {
            let mut analyser = warm.remove(shard).unwrap_or_else(|| self.analyser(shard));
            let folded = match analyser.fold(records).await {
                Ok(()) => analyser.commit().await,
                Err(error) => Err(error),
            };
            match folded {
                Ok(()) => {
                    warm.insert(shard.to_owned(), analyser);
                    return Ok(());
                }
                // The next fold starts without memory, from what the store holds.
                Err(error) if error.retryable && fold < FOLDS_MAX => {
                    tracing::warn!(error = %error, cause = %error.source, shard, "folded once more");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn analyser(&self, shard: &str) -> Analyser {
        Analyser::new(
            shard_number(shard),
            Arc::clone(&self.store),
            Arc::clone(&self.feed),
            self.rules.clone(),
        )
    }
}

/// The last byte of a shard's number. It is a label: the store keeps states by pair alone, since
/// pairs move to other shards when a stream is split, and all of a pair are in one shard at a time.
fn shard_number(shard: &str) -> u8 {
    let digits = shard.rsplit('-').next().unwrap_or_default();
    let number: u64 = digits.parse().unwrap_or_default();
    let [.., low] = number.to_be_bytes();
    low
}

/// Tells ticks from poison.
fn decode(batch: &ShardBatch) -> Decoded {
    let mut decoded = Decoded::default();
    for (index, record) in batch.records.iter().enumerate() {
        let sequence: SequenceNumber = match record.sequence.parse() {
            Ok(sequence) => sequence,
            Err(error) => {
                let entry = Malformed::new(index, Reason::InvalidId, error, &record.data);
                decoded.poison.push(entry);
                continue;
            }
        };
        match codec::json::from_json(&record.data) {
            Ok(tick) => decoded.records.push(StreamRecord { sequence, tick }),
            Err(error) => {
                let entry = poison::malformed(index, &record.data, &error);
                decoded.poison.push(entry);
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_has_a_number_whatever_its_id() {
        for (id, number) in [
            ("shardId-000000000003", 3),
            ("shardId-000000000259", 3),
            ("shardId-", 0),
            ("", 0),
        ] {
            assert_eq!(shard_number(id), number, "{id}");
        }
    }
}
