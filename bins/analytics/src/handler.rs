//! Handles one batch of one shard: decodes and folds its records, commits, and quarantines poison.

use std::collections::HashMap;
use std::sync::Arc;

use app::analyse::{Analyser, AnalysisFeed};
use app::poison;
use app::ports::{AnalyticsStore, Clock, PortError, Quarantine, SequenceNumber, StreamRecord};
use aws::emf::{FAILED_ITEMS, InvocationMetrics};
use aws_lambda_events::event::kinesis::KinesisEvent;
use domain::analytics::AnalysisConfig;
use domain::{Malformed, Reason};
use runtime::partial_batch::{self, BatchError, BatchResponse, FailedRecord, ShardBatch};
use tokio::sync::Mutex;

/// The most shards whose states an instance keeps in memory. One instance mostly serves one shard.
/// Beyond the limit, the cache is cleared and states are loaded again.
const CACHED_SHARDS_MAX: usize = 8;

/// How often folding a batch is attempted. The second attempt is for states that changed in the
/// store meanwhile, because another instance served the shard in between.
const FOLD_ATTEMPTS_MAX: u32 = 2;

/// The origin of poison, as recorded in the quarantine.
const PLACE: &str = "kinesis";

/// The analysis, with the states of the shards that this instance has served.
pub struct Analytics {
    store: Arc<dyn AnalyticsStore>,
    feed: Arc<dyn AnalysisFeed>,
    quarantine: Arc<dyn Quarantine>,
    clock: Arc<dyn Clock>,
    metrics: Arc<InvocationMetrics>,
    config: AnalysisConfig,
    cached: Mutex<HashMap<String, Analyser>>,
}

/// The decoded content of a batch.
#[derive(Default)]
struct Decoded {
    records: Vec<StreamRecord>,
    poison: Vec<Malformed>,
}

impl Analytics {
    /// An analysis that starts from the stored states.
    #[must_use]
    pub fn new(
        store: Arc<dyn AnalyticsStore>,
        feed: Arc<dyn AnalysisFeed>,
        quarantine: Arc<dyn Quarantine>,
        clock: Arc<dyn Clock>,
        metrics: Arc<InvocationMetrics>,
    ) -> Self {
        Self {
            store,
            feed,
            quarantine,
            clock,
            metrics,
            // Kinesis may hold a tick twice: after a lost response, a redrive or a sender's retry.
            config: AnalysisConfig {
                keep_members: true,
                ..AnalysisConfig::default()
            },
            cached: Mutex::default(),
        }
    }

    /// Handles an event. If only records at its start are done, the response names the next one.
    ///
    /// # Errors
    /// [`BatchError`] if the whole batch must be delivered again.
    pub async fn handle(&self, event: KinesisEvent) -> Result<BatchResponse, BatchError> {
        let analyse = async |batch: &ShardBatch| self.analyse(batch).await;
        let answer = partial_batch::kinesis(event, analyse).await;
        if let Ok(response) = &answer {
            self.metrics.add(FAILED_ITEMS, response.failed_items);
        }
        self.metrics.flush();
        answer
    }

    async fn analyse(&self, batch: &ShardBatch) -> Result<(), FailedRecord> {
        let Decoded { records, poison } = decode(batch);
        let fold = self.fold(&batch.shard, &records).await;
        fold.map_err(|error| FailedRecord {
            position: 0,
            cause: error.into(),
        })?;
        // After the commit, so a batch that is delivered again quarantines its poison only once.
        let Some(first) = poison.first().map(|entry| entry.index) else {
            return Ok(());
        };
        let now_ms = self.clock.now_ms();
        let kept = poison::keep(self.quarantine.as_ref(), PLACE, poison, now_ms).await;
        kept.map_err(|error| FailedRecord {
            position: first,
            cause: error.into(),
        })
    }

    /// Folds and commits, starting from the cached states if they are current.
    async fn fold(&self, shard: &str, records: &[StreamRecord]) -> Result<(), PortError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut cached = self.cached.lock().await;
        if cached.len() >= CACHED_SHARDS_MAX && !cached.contains_key(shard) {
            cached.clear();
        }
        for fold in 1..=FOLD_ATTEMPTS_MAX {
            let mut analyser = cached.remove(shard).unwrap_or_else(|| self.analyser(shard));
            let folded = match analyser.fold(records).await {
                Ok(()) => analyser.commit().await,
                Err(error) => Err(error),
            };
            match folded {
                Ok(()) => {
                    cached.insert(shard.to_owned(), analyser);
                    return Ok(());
                }
                // The next fold starts without cached states, from the store.
                Err(error) if error.retryable && fold < FOLD_ATTEMPTS_MAX => {
                    tracing::warn!(error = %error, cause = %error.source, shard, "the cached \
                        states were outdated; folding the batch again");
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
            self.config.clone(),
        )
    }
}

/// The last byte of a shard's number. It is only a label: the store keeps states by pair, since
/// pairs move to other shards when a stream is resharded, and all records of a pair are in one
/// shard at a time.
fn shard_number(shard: &str) -> u8 {
    let digits = shard.rsplit('-').next().unwrap_or_default();
    let number: u64 = digits.parse().unwrap_or_default();
    let [.., low] = number.to_be_bytes();
    low
}

/// Separates ticks from poison.
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
    fn every_shard_id_gives_a_number() {
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
