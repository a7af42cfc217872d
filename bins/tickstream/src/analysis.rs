//! The analysis of one shard as a consumer: from its checkpoint, in batches, with commits at intervals.
//!
//! A record that makes it fail (a panic, or an error that a retry does not mend) must not stop the others of its
//! shard. Before records are folded, they are noted; after a failure the noted ones are folded one by one, so that
//! the next failure names the record. That one is quarantined and skipped.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use app::analyse::Analyser;
use app::poison;
use app::ports::{PortError, SequenceNumber, StreamRecord};
use store::EmbeddedStore;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::supervisor::Progress;

/// Records in one batch.
const BATCH_RECORDS: usize = 2_000;

/// How often the analysis commits while few pairs are busy.
const COMMIT_EVERY: Duration = Duration::from_millis(250);

/// The interval grows by itself for each of this many busy pairs: a commit stores all of their states,
/// which would otherwise be most of what is written.
const PAIRS_PER_STEP: u32 = 50;

/// The longest time between commits.
const COMMIT_WITHIN: Duration = Duration::from_secs(3);

/// How long it waits for more after waking up, so it does not run for each tick.
const GATHER: Duration = Duration::from_millis(5);

/// How long it waits before it retries after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Where an unprocessable tick is said to come from.
const ORIGIN: &str = "analysis";

/// What is known of records that may be poison. It outlives a failed task.
#[derive(Debug, Default)]
pub(crate) struct Suspects(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// The first and the last record that are being folded.
    folding: Option<(SequenceNumber, SequenceNumber)>,
    /// Up to which record they are folded one by one.
    one_by_one_to: SequenceNumber,
    /// Records that are quarantined and skipped.
    poison: BTreeSet<SequenceNumber>,
}

impl Suspects {
    fn with<R>(&self, work: impl FnOnce(&mut Noted) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, records: &[StreamRecord]) {
        let range = records.first().zip(records.last());
        self.with(|noted| {
            noted.folding = range.map(|(first, last)| (first.sequence, last.sequence));
        });
    }

    fn clear(&self) {
        self.with(|noted| noted.folding = None);
    }
}

/// The analysis of a shard.
pub(crate) struct Analysis {
    pub(crate) store: EmbeddedStore,
    pub(crate) shard: u8,
    pub(crate) suspects: Arc<Suspects>,
    pub(crate) progress: Progress,
    pub(crate) stopping: CancellationToken,
}

impl Analysis {
    /// Runs until the process stops, or until a failure that may be due to a record.
    pub(crate) async fn run(self, mut analyser: Analyser) {
        if let Err(error) = self.set_aside().await {
            tracing::error!(error = %error, "an unprocessable tick cannot be quarantined; this is retried");
            return;
        }
        let mut commits = self.store.commits();
        let mut after = self.checkpoint().unwrap_or_default();
        let mut committed_at = Instant::now();
        loop {
            match self
                .step(&mut analyser, &mut after, &mut committed_at)
                .await
            {
                Ok(read) => {
                    self.progress.succeeded();
                    if read > 0 {
                        continue;
                    }
                    if analyser.is_dirty() {
                        let until_due =
                            commit_every(&analyser).saturating_sub(committed_at.elapsed());
                        let due = tokio::time::sleep(until_due);
                        self.stopping.run_until_cancelled(due).await;
                    } else if self.stopping.is_cancelled() {
                        return;
                    } else {
                        wait_for_commit(&mut commits, &self.stopping).await;
                    }
                }
                Err(error) => {
                    let shard = self.shard;
                    tracing::error!(shard, error = %error, cause = %error.source, "the analysis failed; it is retried from its checkpoint");
                    self.progress.failed(&error.source);
                    if !error.retryable {
                        // The next task looks for the record.
                        return;
                    }
                    self.suspects.clear();
                    after = self.checkpoint().unwrap_or(after);
                    let pause = tokio::time::sleep(AFTER_FAILURE);
                    if self.stopping.run_until_cancelled(pause).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    fn checkpoint(&self) -> Option<SequenceNumber> {
        self.store.checkpoint("analytics", self.shard).ok()
    }

    /// Folds the next batch, and commits if it is due; returns how many records there were.
    async fn step(
        &self,
        analyser: &mut Analyser,
        after: &mut SequenceNumber,
        committed_at: &mut Instant,
    ) -> Result<usize, PortError> {
        let records = self
            .store
            .read_stream(self.shard, *after, BATCH_RECORDS)
            .await
            .map_err(|error| PortError {
                operation: "read the stream",
                retryable: true,
                source: Box::new(error),
            })?;
        self.fold(analyser, &records).await?;
        if let Some(last) = records.last() {
            *after = last.sequence;
        }
        let due = committed_at.elapsed() >= commit_every(analyser) || self.stopping.is_cancelled();
        if due && analyser.is_dirty() {
            *committed_at = Instant::now();
            analyser.commit().await?;
        }
        Ok(records.len())
    }

    async fn fold(
        &self,
        analyser: &mut Analyser,
        records: &[StreamRecord],
    ) -> Result<(), PortError> {
        let (to, poison) = self
            .suspects
            .with(|noted| (noted.one_by_one_to, noted.poison.clone()));
        let careful = records.partition_point(|record| record.sequence <= to);
        let (careful, others) = records.split_at(careful);
        for record in careful {
            if poison.contains(&record.sequence) {
                analyser.skip(record.sequence);
                continue;
            }
            let record = std::slice::from_ref(record);
            self.suspects.note(record);
            analyser.fold(record).await?;
        }
        if !others.is_empty() {
            self.suspects.note(others);
            analyser.fold(others).await?;
        }
        self.suspects.clear();
        Ok(())
    }

    /// After a failure: quarantines the record that was folded alone, or has the noted ones folded one by one.
    async fn set_aside(&self) -> Result<(), PortError> {
        let Some((first, last)) = self.suspects.with(|noted| noted.folding) else {
            return Ok(());
        };
        if first == last {
            let before = SequenceNumber::from(first.count().saturating_sub(1));
            let read = self.store.read_stream(self.shard, before, 1).await;
            let read = read.map_err(|error| PortError {
                operation: "read the stream",
                retryable: true,
                source: Box::new(error),
            })?;
            let record = read.into_iter().find(|record| record.sequence == first);
            if let Some(record) = record {
                let why = format!(
                    "the analysis failed on record {} of shard {}",
                    first.count(),
                    self.shard
                );
                let entry = poison::unprocessable(&record.tick, why);
                let now_ms = runtime::clock::now_ms();
                poison::keep(&self.store, ORIGIN, vec![entry], now_ms).await?;
            }
        }
        self.suspects.with(|noted| {
            if first == last {
                noted.poison.insert(first);
            }
            noted.one_by_one_to = noted.one_by_one_to.max(last);
            noted.folding = None;
        });
        Ok(())
    }
}

/// When the next commit is due after the last one.
fn commit_every(analyser: &Analyser) -> Duration {
    let steps = 1 + analyser.dirty_pairs() / PAIRS_PER_STEP;
    (COMMIT_EVERY * steps).min(COMMIT_WITHIN)
}

/// Waits for the next commit of the store.
async fn wait_for_commit(commits: &mut watch::Receiver<u64>, stopping: &CancellationToken) {
    if let Some(Ok(())) = stopping.run_until_cancelled(commits.changed()).await {
        stopping
            .run_until_cancelled(tokio::time::sleep(GATHER))
            .await;
    }
}

#[cfg(test)]
mod tests {
    use app::analyse::{AnalysisFeed, AnalysisUpdate};
    use app::ports::{
        AnalysisCommit, AnalyticsStore, StoredState, TickStore as _, TickStream as _,
    };
    use async_trait::async_trait;
    use domain::analytics::{AnalysisConfig, Candle, Interval};
    use domain::{Pair, Reason};
    use store::{EmbeddedConfig, SHARDS, TickRange};
    use tempfile::TempDir;
    use testkit::ticks::{in_cohort, ticks};
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::supervisor::{ConsumerStates, Supervisor};

    /// A store on which the analysis of some tokens fails.
    struct Poisoned(EmbeddedStore);

    #[async_trait]
    impl AnalyticsStore for Poisoned {
        async fn load(
            &self,
            shard: u8,
            pairs: &[Pair],
        ) -> Result<Vec<Option<StoredState>>, PortError> {
            let is_of = |token: &str| pairs.iter().any(|pair| pair.token.as_str() == token);
            assert!(!is_of("PANIC"), "a defect");
            if is_of("ERROR") {
                return Err(PortError {
                    operation: "load states",
                    retryable: false,
                    source: "a defect".into(),
                });
            }
            AnalyticsStore::load(&self.0, shard, pairs).await
        }

        async fn commit(
            &self,
            shard: u8,
            last: SequenceNumber,
            step: AnalysisCommit,
        ) -> Result<Vec<Candle>, PortError> {
            AnalyticsStore::commit(&self.0, shard, last, step).await
        }
    }

    struct Nobody;

    #[async_trait]
    impl AnalysisFeed for Nobody {
        async fn publish(&self, _: AnalysisUpdate) {}
    }

    /// How many ticks the candles of a token count.
    async fn counted(store: &EmbeddedStore, token: &str) -> u64 {
        let range = TickRange {
            from_ms: 0,
            to_ms: i64::MAX,
            limit: 10_000,
        };
        let candles = store.candles(token, None, Interval::OneHour, range).await;
        let candles = candles.unwrap().unwrap_or_default();
        candles.iter().map(|candle| candle.tick_count).sum()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn poison_is_set_aside_and_its_shard_goes_on() {
        let folder = TempDir::new().unwrap();
        let config = EmbeddedConfig::new(folder.path().to_owned());
        let store = EmbeddedStore::open(&config).unwrap();
        let tokens = ["BTC", "PANIC", "ETH", "ERROR", "SOL", "JUP", "WIF", "BONK"];
        let made = ticks(&tokens, 5);
        store.put(&in_cohort(&made)).await.unwrap();
        let refs: Vec<_> = made.iter().collect();
        store.append(&refs, None).await.unwrap();
        let supervisor = Supervisor {
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            states: Arc::new(ConsumerStates::default()),
        };
        for shard in 0..SHARDS {
            let (store, stopping) = (store.clone(), supervisor.stopping.clone());
            let suspects = Arc::new(Suspects::default());
            supervisor.run_without_pauses(&format!("analytics-{shard}"), move |progress| {
                let to = Arc::new(Poisoned(store.clone()));
                let config = AnalysisConfig::default();
                let analyser = Analyser::new(shard, to, Arc::new(Nobody), config);
                let analysis = Analysis {
                    store: store.clone(),
                    shard,
                    suspects: Arc::clone(&suspects),
                    progress,
                    stopping: stopping.clone(),
                };
                analysis.run(analyser)
            });
        }
        while store.lag_records("analytics").unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for token in tokens {
            let expected = if ["PANIC", "ERROR"].contains(&token) {
                0
            } else {
                5
            };
            assert_eq!(counted(&store, token).await, expected, "{token}");
        }
        let kept = store.quarantined(100).await.unwrap();
        assert_eq!(kept.len(), 10);
        for entry in &kept {
            assert_eq!(entry.entry.reason, Reason::Unprocessable);
            assert!(entry.entry.raw.contains("PANIC") || entry.entry.raw.contains("ERROR"));
        }
        assert_eq!(supervisor.states.failing(), [] as [&str; 0]);
        supervisor.stopping.cancel();
        supervisor.tasks.close();
        supervisor.tasks.wait().await;
    }
}
