//! Handles one batch of one shard: decodes and folds its records, commits, and quarantines poison.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use app::poison;
use app::ports::{Clock, PortError, Quarantine, SequenceNumber, StreamRecord};
use app::replay::{Analysed, Replayable, ShardMemory};
use aws::emf::{
    FAILED_ITEMS, InvocationMetrics, LATE_TICKS, REPEATED_TICKS, REPLAYED_RECORDS,
    STATES_SET_ASIDE, TOO_LATE_TICKS,
};
use domain::{Malformed, Reason};
use futures_util::{StreamExt as _, stream};
use runtime::kinesis_event::KinesisEvent;
use runtime::partial_batch::{self, BatchError, BatchResponse, FailedRecord, ShardBatch};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

/// The most shards that an instance keeps in memory. One instance mostly serves one shard. Beyond the limit, the memory
/// is cleared, and the shards are restored from their snapshots.
const SHARDS_MAX: usize = 4;

/// How many shards are settled at the same time: each may be read again at its own 2 MB a second, and is in memory.
const SETTLED_AT_ONCE_MAX: usize = 4;

/// How often a batch is attempted. The second attempt is for a shard that another instance has served in between.
const ATTEMPTS_MAX: u32 = 2;

/// How long the analysis of a batch, or of all shards at the hour, may take. Each call has a limit of its own, but there
/// are as many as a restart needs, and together they could outlast the function, which Lambda ends after 60 s: then
/// nobody would know why. What is left is for the quarantine, one call of at most 10 s.
pub const ANALYSE_WITHIN: Duration = Duration::from_secs(40);

/// The origin of poison, as recorded in the quarantine.
const PLACE: &str = "kinesis";

/// The analysis, with the memory of the shards that this instance has served.
pub struct Analytics {
    analysis: Replayable,
    quarantine: Arc<dyn Quarantine>,
    clock: Arc<dyn Clock>,
    metrics: Arc<InvocationMetrics>,
    shards: Mutex<HashMap<String, ShardMemory>>,
}

/// The calls of an analysis took too long together.
#[derive(Debug, thiserror::Error)]
#[error(
    "shard {0} was not analysed within {within} s: it continues with the next invocation", within = ANALYSE_WITHIN.as_secs()
)]
struct Late(String);

fn late(shard: &str) -> PortError {
    PortError {
        operation: "analyse a shard",
        retryable: true,
        source: Box::new(Late(shard.to_owned())),
    }
}

/// The decoded content of a batch.
#[derive(Default)]
struct Decoded {
    records: Vec<StreamRecord>,
    poison: Vec<Malformed>,
}

impl Analytics {
    /// An analysis that starts from what is stored.
    #[must_use]
    pub fn new(
        analysis: Replayable,
        quarantine: Arc<dyn Quarantine>,
        clock: Arc<dyn Clock>,
        metrics: Arc<InvocationMetrics>,
    ) -> Self {
        Self {
            analysis,
            quarantine,
            clock,
            metrics,
            shards: Mutex::default(),
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

    async fn fold(&self, shard: &str, records: &[StreamRecord]) -> Result<(), PortError> {
        let mut shards = self.shards.lock().await;
        if shards.len() >= SHARDS_MAX && !shards.contains_key(shard) {
            shards.clear();
        }
        let memory = shards.entry(shard.to_owned()).or_default();
        let deadline = Instant::now() + ANALYSE_WITHIN;
        let done = timeout_at(deadline, self.attempts(memory, shard, records)).await;
        // What the memory holds then is what it held when a call failed at the same place.
        done.unwrap_or_else(|_| Err(late(shard)))
    }

    async fn attempts(
        &self,
        memory: &mut ShardMemory,
        shard: &str,
        records: &[StreamRecord],
    ) -> Result<(), PortError> {
        for attempt in 1..=ATTEMPTS_MAX {
            match self.analysis.analyse(memory, shard, records).await {
                Ok(analysed) => {
                    self.count(analysed);
                    return Ok(());
                }
                // The next attempt begins with the newest snapshot.
                Err(error) if error.retryable && attempt < ATTEMPTS_MAX => {
                    tracing::warn!(error = %error, cause = %error.source, shard, "a batch is analysed again");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Stores what is due in all shards of the stream, for the time without new records.
    ///
    /// # Errors
    /// The first failure of a shard, after all shards were tried.
    pub async fn settle(&self) -> Result<(), PortError> {
        let deadline = Instant::now() + ANALYSE_WITHIN;
        let mut settled = Vec::new();
        for shard in self.analysis.log.shards().await? {
            settled.push(self.settle_shard(shard, deadline));
        }
        let mut outcomes = stream::iter(settled).buffer_unordered(SETTLED_AT_ONCE_MAX);
        let mut failed = None;
        while let Some(outcome) = outcomes.next().await {
            failed = failed.or(outcome.err());
        }
        self.metrics.flush();
        failed.map_or(Ok(()), Err)
    }

    async fn settle_shard(&self, shard: String, deadline: Instant) -> Result<(), PortError> {
        let settled = timeout_at(deadline, self.analysis.settle(&shard)).await;
        let settled = settled.unwrap_or_else(|_| Err(late(&shard)));
        settled.map(|analysed| self.count(analysed)).inspect_err(|error| {
            tracing::error!(error = %error, cause = %error.source, shard, "a shard was not settled");
        })
    }

    fn count(&self, analysed: Analysed) {
        for (metric, count) in [
            (REPEATED_TICKS, analysed.duplicates),
            (LATE_TICKS, analysed.late),
            (TOO_LATE_TICKS, analysed.too_late),
            (STATES_SET_ASIDE, analysed.set_aside),
            (REPLAYED_RECORDS, analysed.replayed),
        ] {
            self.metrics.add(metric, count);
        }
    }
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
