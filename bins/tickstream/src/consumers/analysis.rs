//! The analysis of one shard, as a consumer.

use std::sync::Arc;
use std::time::Duration;

use app::analyse::Analyser;
use app::bisect::Failed;
use app::isolate::Isolation;
use app::ports::SequenceNumber;
use store::EmbeddedStore;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::supervisor::{Failure, Progress};

/// Records in one batch.
const BATCH_RECORDS: usize = 2_000;

/// How long it waits for more after waking up, so it does not run for each tick.
const GATHER: Duration = Duration::from_millis(20);

/// How often the analysis commits while few pairs are busy.
const COMMIT_EVERY: Duration = Duration::from_millis(250);

/// The interval grows by itself for each of this many busy pairs: a commit stores all of their states,
/// which would otherwise be most of what is written.
const PAIRS_PER_STEP: u32 = 50;

/// The longest time between commits.
const COMMIT_WITHIN: Duration = Duration::from_secs(3);

/// An anomaly makes the interval shorter by this factor. There are few of them, and people wait for them.
const ANOMALIES_SOONER: u32 = 8;

/// How often the silence of feeds is judged while nothing else happens.
const SILENCES_EVERY: Duration = Duration::from_secs(1);

/// The most bytes of states that the analysis of a shard keeps in memory: about 2,500 pairs with one venue. Reading one
/// back takes tens of microseconds.
const STATES_PER_SHARD_BYTES_MAX: usize = 42_500_000;

/// The analysis of one shard.
pub(super) struct Analysis {
    /// The stream.
    pub(super) stream: EmbeddedStore,
    /// What the analysis is made of, and what it needs after a failure.
    pub(super) isolation: Isolation,
}

impl Analysis {
    /// Analyses the stream from the checkpoint on, until it has caught up after `stopping` is cancelled.
    pub(super) async fn run(
        &self,
        progress: &Progress,
        stopping: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut commits = self.stream.commits();
        if progress.is_down() {
            self.isolate(progress).await?;
        }
        let mut after = self.checkpoint()?;
        let mut analyser = self.analyser();
        let mut committed_at = Instant::now();
        let mut arrived = self.stream.stream_records();
        loop {
            let read = self.analyse_batch(&mut analyser, &mut after).await?;
            let arrived_before = std::mem::replace(&mut arrived, self.stream.stream_records());
            if arrived > arrived_before {
                analyser.add_arrival(self.isolation.clock.now_ms());
            }
            let due = committed_at.elapsed() >= commit_every(&analyser) || stopping.is_cancelled();
            if due && analyser.is_dirty() {
                committed_at = Instant::now();
                analyser.commit().await?;
                progress.made();
            }
            if read > 0 {
                continue;
            }
            analyser.find_silences(self.isolation.clock.now_ms());
            if analyser.is_dirty() {
                let until_due = commit_every(&analyser).saturating_sub(committed_at.elapsed());
                let wait = wait_for_commit(&mut commits, stopping);
                tokio::time::timeout(until_due, wait).await.ok();
                continue;
            }
            progress.made();
            if stopping.is_cancelled() {
                return Ok(());
            }
            // Feeds that are silent make no commit.
            let wait = wait_for_commit(&mut commits, stopping);
            tokio::time::timeout(SILENCES_EVERY, wait).await.ok();
        }
    }

    /// After a failure: analyses what is in the stream by now, batch by batch, and sets ticks aside that made the
    /// analysis fail.
    async fn isolate(&self, progress: &Progress) -> Result<(), Failure> {
        let shard = self.isolation.shard;
        let ends = self.stream.end_offsets();
        let end = ends.get(usize::from(shard)).copied().unwrap_or_default();
        loop {
            let after = self.checkpoint()?;
            if after >= end {
                return Ok(());
            }
            let records = self.stream.read_stream(shard, after, BATCH_RECORDS);
            let analysed = self.isolation.analyse(&records.await?).await;
            analysed.map_err(Failed::into_cause)?;
            progress.made();
        }
    }

    fn checkpoint(&self) -> Result<SequenceNumber, Failure> {
        let shard = self.isolation.shard;
        Ok(self.stream.checkpoint("analytics", shard)?)
    }

    fn analyser(&self) -> Analyser {
        let Isolation {
            shard,
            store,
            feed,
            config,
            ..
        } = &self.isolation;
        let store = Arc::clone(store);
        Analyser::new(*shard, store, Arc::clone(feed), config.clone())
            .keep_states(STATES_PER_SHARD_BYTES_MAX)
    }

    async fn analyse_batch(
        &self,
        analyser: &mut Analyser,
        after: &mut SequenceNumber,
    ) -> Result<usize, Failure> {
        let shard = self.isolation.shard;
        let records = self
            .stream
            .read_stream(shard, *after, BATCH_RECORDS)
            .await?;
        analyser.fold(&records).await?;
        if let Some(last) = records.last() {
            *after = last.sequence;
        }
        Ok(records.len())
    }
}

/// When the next commit is due after the last one.
fn commit_every(analyser: &Analyser) -> Duration {
    let steps = 1 + analyser.dirty_pairs() / PAIRS_PER_STEP;
    let every = (COMMIT_EVERY * steps).min(COMMIT_WITHIN);
    if analyser.has_anomalies() {
        every / ANOMALIES_SOONER
    } else {
        every
    }
}

/// Waits for the next commit, and a little longer for more of them.
async fn wait_for_commit(commits: &mut watch::Receiver<u64>, stopping: &CancellationToken) {
    if let Some(Ok(())) = stopping.run_until_cancelled(commits.changed()).await {
        stopping
            .run_until_cancelled(tokio::time::sleep(GATHER))
            .await;
    }
}

#[cfg(test)]
mod tests;
