//! The consumers: each reads from its checkpoint, processes a batch, and advances its checkpoint.

use std::sync::Arc;
use std::time::Duration;

use app::analyse::Analyser;
use app::ingest::Ingest;
use app::live::Conflator;
use app::ports::SequenceNumber;
use domain::analytics::AnalysisConfig;
use store::{Archiver, EmbeddedStore, QuarantineFiles, SHARDS};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::live::Live;
use crate::metrics::Metrics;

/// Records in one batch of a consumer.
const BATCH_RECORDS: usize = 2_000;

/// How often the analysis commits while few pairs are busy.
const COMMIT_EVERY: Duration = Duration::from_millis(250);

/// The interval grows by itself for each of this many busy pairs: a commit stores all of their states,
/// which would otherwise be most of what is written.
const PAIRS_PER_STEP: u32 = 50;

/// The longest time between commits.
const COMMIT_WITHIN: Duration = Duration::from_secs(3);

/// The most pairs whose states the analysis of a shard keeps in memory, about 6 KB each. Reading one back
/// takes tens of microseconds.
const STATES_PER_SHARD_MAX: usize = 2_500;

/// How long a consumer waits for more after waking up, so it does not run for each tick.
const GATHER: Duration = Duration::from_millis(5);

/// How long a consumer waits before it retries after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The number of waiting ticks at which the archive is written early.
const ARCHIVE_AHEAD_TICKS: u64 = 200_000;

/// How often the outbox is drained, starting right after the start.
const DRAIN_EVERY: Duration = Duration::from_secs(10);

/// How often old data is removed.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often the rate of ticks is sampled.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// What the consumers need.
pub(crate) struct Consumers {
    pub(crate) store: EmbeddedStore,
    pub(crate) ingest: Ingest,
    pub(crate) conflator: Arc<Conflator>,
    pub(crate) archiver: Arc<Archiver>,
    pub(crate) quarantine_files: QuarantineFiles,
    pub(crate) live: Live,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) archive_every: Duration,
    pub(crate) retention_ms: i64,
}

/// Starts all consumers; each ends after its last batch once `stopping` is cancelled.
pub(crate) fn spawn(consumers: Consumers, tasks: &TaskTracker, stopping: &CancellationToken) {
    let Consumers {
        store,
        ingest,
        conflator,
        archiver,
        quarantine_files,
        live,
        metrics,
        archive_every,
        retention_ms,
    } = consumers;
    for shard in 0..SHARDS {
        let feed = Arc::clone(&conflator);
        let config = AnalysisConfig::default();
        let analyser = Analyser::new(shard, Arc::new(store.clone()), feed as _, config);
        let analyser = analyser.keep_pairs(STATES_PER_SHARD_MAX);
        tasks.spawn(analyse(store.clone(), shard, analyser, stopping.clone()));
    }
    tasks.spawn(live.send_frames(stopping.clone()));
    tasks.spawn(archive(archiver, archive_every, stopping.clone()));
    tasks.spawn(quarantine(
        quarantine_files,
        archive_every,
        retention_ms,
        stopping.clone(),
    ));
    tasks.spawn(drain_outbox(store.clone(), ingest, stopping.clone()));
    tasks.spawn(sample(store.clone(), metrics, stopping.clone()));
    tasks.spawn(sweep(store, retention_ms, stopping.clone()));
}

/// Waits for the next commit; returns whether to continue.
async fn wait_for_commit(commits: &mut watch::Receiver<u64>, stopping: &CancellationToken) -> bool {
    match stopping.run_until_cancelled(commits.changed()).await {
        Some(Ok(())) => stopping
            .run_until_cancelled(tokio::time::sleep(GATHER))
            .await
            .is_some(),
        Some(Err(_)) | None => false,
    }
}

async fn analyse(
    store: EmbeddedStore,
    shard: u8,
    mut analyser: Analyser,
    stopping: CancellationToken,
) {
    let mut commits = store.commits();
    let mut after = store.checkpoint("analytics", shard).unwrap_or_default();
    let mut committed_at = Instant::now();
    loop {
        let step = async {
            let read = analyse_batch(&store, shard, &mut analyser, &mut after).await?;
            let due = committed_at.elapsed() >= commit_every(&analyser) || stopping.is_cancelled();
            if due && analyser.is_dirty() {
                committed_at = Instant::now();
                analyser.commit().await.map_err(|error| error.source)?;
            }
            Ok::<_, Failure>(read)
        };
        match step.await {
            Ok(0) if analyser.is_dirty() => {
                let until_due = commit_every(&analyser).saturating_sub(committed_at.elapsed());
                stopping
                    .run_until_cancelled(tokio::time::sleep(until_due))
                    .await;
            }
            Ok(0) if stopping.is_cancelled() => return,
            Ok(0) => {
                wait_for_commit(&mut commits, &stopping).await;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(shard, error = %error, "the analysis failed; it is retried from its checkpoint");
                after = store.checkpoint("analytics", shard).unwrap_or(after);
                if stopping
                    .run_until_cancelled(tokio::time::sleep(AFTER_FAILURE))
                    .await
                    .is_none()
                {
                    return;
                }
            }
        }
    }
}

/// When the next commit is due after the last one.
fn commit_every(analyser: &Analyser) -> Duration {
    let steps = 1 + analyser.dirty_pairs() / PAIRS_PER_STEP;
    (COMMIT_EVERY * steps).min(COMMIT_WITHIN)
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn analyse_batch(
    store: &EmbeddedStore,
    shard: u8,
    analyser: &mut Analyser,
    after: &mut SequenceNumber,
) -> Result<usize, Failure> {
    let records = store.read_stream(shard, *after, BATCH_RECORDS).await?;
    analyser
        .fold(&records)
        .await
        .map_err(|error| error.source)?;
    if let Some(last) = records.last() {
        *after = last.sequence;
    }
    Ok(records.len())
}

/// Writes the archive at intervals, earlier if many ticks are waiting, and once more at the end.
async fn archive(archiver: Arc<Archiver>, every: Duration, stopping: CancellationToken) {
    let mut written_at = Instant::now();
    loop {
        let last = stopping
            .run_until_cancelled(tokio::time::sleep(every.min(Duration::from_secs(1))))
            .await
            .is_none();
        let waiting = archiver.lag_ticks().unwrap_or(0);
        if last || waiting >= ARCHIVE_AHEAD_TICKS || (waiting > 0 && written_at.elapsed() >= every)
        {
            match archiver.flush().await {
                Ok(flushed) => {
                    tracing::debug!(ticks = flushed.ticks, files = flushed.files, "archived")
                }
                Err(error) => {
                    tracing::error!(error = %error, "the archive cannot be written; the stream keeps its ticks")
                }
            }
            written_at = Instant::now();
        }
        if last {
            return;
        }
    }
}

/// Writes the quarantine's files at intervals and once more at the end, and removes those older than
/// the retention.
async fn quarantine(
    files: QuarantineFiles,
    every: Duration,
    retention_ms: i64,
    stopping: CancellationToken,
) {
    loop {
        let last = stopping
            .run_until_cancelled(tokio::time::sleep(every))
            .await
            .is_none();
        if let Err(error) = files.flush().await {
            tracing::error!(error = %error, "the quarantine's files cannot be written; the store keeps its entries");
        }
        let before_ms = runtime::clock::now_ms() - retention_ms;
        if let Err(error) = files.sweep(before_ms).await {
            tracing::error!(error = %error, "old files of the quarantine cannot be removed");
        }
        if last {
            return;
        }
    }
}

/// Drains the outbox while the process serves. An entry is only drained once its delivery has ended, and
/// if the same ticks are delivered again, they are duplicates. Nothing is lost if this is dropped
/// halfway, since an entry is kept until it is committed.
async fn drain_outbox(store: EmbeddedStore, ingest: Ingest, stopping: CancellationToken) {
    let mut turns = tokio::time::interval(DRAIN_EVERY);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        match stopping.run_until_cancelled(ingest.drain(&store)).await {
            Some(Ok(0)) => {}
            Some(Ok(ticks)) => tracing::info!(ticks, "the outbox was drained"),
            Some(Err(error)) => {
                tracing::error!(error = %error, cause = %error.source, "the outbox could not be drained; this is retried");
            }
            None => return,
        }
    }
}

async fn sample(store: EmbeddedStore, metrics: Arc<Metrics>, stopping: CancellationToken) {
    let mut turns = tokio::time::interval(SAMPLE_EVERY);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        metrics.ticks_per_second(runtime::clock::now_ms(), store.ledger().stored_rows);
    }
}

async fn sweep(store: EmbeddedStore, retention_ms: i64, stopping: CancellationToken) {
    let mut turns = tokio::time::interval_at(Instant::now() + SWEEP_EVERY / 60, SWEEP_EVERY);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        let before_ms = runtime::clock::now_ms() - retention_ms;
        let swept = stopping
            .run_until_cancelled(store.sweep(before_ms, &store::CONSUMERS))
            .await;
        match swept {
            Some(Ok(swept)) => tracing::info!(?swept, "old data was removed"),
            Some(Err(error)) => tracing::error!(error = %error, "old data could not be removed"),
            None => return,
        }
    }
}
