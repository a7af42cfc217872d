//! The consumers: each reads from its checkpoint, processes a batch, and advances its checkpoint.

use std::sync::Arc;
use std::time::Duration;

use app::analyse::Analyser;
use app::ingest::Ingest;
use app::live::Conflator;
use domain::analytics::AnalysisConfig;
use store::{Archiver, EmbeddedStore, QuarantineFiles, SHARDS};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::analysis::{Analysis, Suspects};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::supervisor::{Progress, Supervisor};

/// The most pairs whose states the analysis of a shard keeps in memory, about 6 KB each. Reading one back
/// takes tens of microseconds.
const STATES_PER_SHARD_MAX: usize = 2_500;

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

/// Starts all consumers; each ends after its last batch once the supervisor stops.
pub(crate) fn spawn(consumers: Consumers, supervisor: &Supervisor) {
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
    let stopping = &supervisor.stopping;
    for shard in 0..SHARDS {
        let (store, feed) = (store.clone(), Arc::clone(&conflator));
        let (suspects, stopping) = (Arc::new(Suspects::default()), stopping.clone());
        supervisor.run(&format!("analytics-{shard}"), move |progress| {
            let to = Arc::new(store.clone());
            let config = AnalysisConfig::default();
            let analyser = Analyser::new(shard, to, Arc::clone(&feed) as _, config);
            let analysis = Analysis {
                store: store.clone(),
                shard,
                suspects: Arc::clone(&suspects),
                progress,
                stopping: stopping.clone(),
            };
            analysis.run(analyser.keep_pairs(STATES_PER_SHARD_MAX))
        });
    }
    let stop = stopping.clone();
    supervisor.run("live", move |_| live.clone().send_frames(stop.clone()));
    let stop = stopping.clone();
    supervisor.run("archive", move |progress| {
        archive(Arc::clone(&archiver), archive_every, progress, stop.clone())
    });
    let (files, stop) = (Arc::new(quarantine_files), stopping.clone());
    supervisor.run("quarantine", move |progress| {
        let files = Arc::clone(&files);
        quarantine(files, archive_every, retention_ms, progress, stop.clone())
    });
    let (from, stop) = (store.clone(), stopping.clone());
    supervisor.run("outbox", move |progress| {
        drain_outbox(from.clone(), ingest.clone(), progress, stop.clone())
    });
    let (of, stop) = (store.clone(), stopping.clone());
    supervisor.run("rate", move |_| {
        sample(of.clone(), Arc::clone(&metrics), stop.clone())
    });
    let stop = stopping.clone();
    supervisor.run("retention", move |progress| {
        sweep(store.clone(), retention_ms, progress, stop.clone())
    });
}

/// Writes the archive at intervals, earlier if many ticks are waiting, and once more at the end.
async fn archive(
    archiver: Arc<Archiver>,
    every: Duration,
    progress: Progress,
    stopping: CancellationToken,
) {
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
                    progress.succeeded();
                    tracing::debug!(ticks = flushed.ticks, files = flushed.files, "archived")
                }
                Err(error) => {
                    progress.failed(&error);
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
    files: Arc<QuarantineFiles>,
    every: Duration,
    retention_ms: i64,
    progress: Progress,
    stopping: CancellationToken,
) {
    loop {
        let last = stopping
            .run_until_cancelled(tokio::time::sleep(every))
            .await
            .is_none();
        let flushed = files.flush().await;
        progress.succeeded();
        if let Err(error) = flushed {
            progress.failed(&error);
            tracing::error!(error = %error, "the quarantine's files cannot be written; the store keeps its entries");
        }
        let before_ms = runtime::clock::now_ms() - retention_ms;
        if let Err(error) = files.sweep(before_ms).await {
            progress.failed(&error);
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
async fn drain_outbox(
    store: EmbeddedStore,
    ingest: Ingest,
    progress: Progress,
    stopping: CancellationToken,
) {
    let mut turns = tokio::time::interval(DRAIN_EVERY);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        match stopping.run_until_cancelled(ingest.drain(&store)).await {
            Some(Ok(ticks)) => {
                progress.succeeded();
                if ticks > 0 {
                    tracing::info!(ticks, "the outbox was drained");
                }
            }
            Some(Err(error)) => {
                progress.failed(&error);
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

async fn sweep(
    store: EmbeddedStore,
    retention_ms: i64,
    progress: Progress,
    stopping: CancellationToken,
) {
    let mut turns = tokio::time::interval_at(Instant::now() + SWEEP_EVERY / 60, SWEEP_EVERY);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        let before_ms = runtime::clock::now_ms() - retention_ms;
        let swept = stopping
            .run_until_cancelled(store.sweep(before_ms, &store::CONSUMERS))
            .await;
        match swept {
            Some(Ok(swept)) => {
                progress.succeeded();
                tracing::info!(?swept, "old data was removed");
            }
            Some(Err(error)) => {
                progress.failed(&error);
                tracing::error!(error = %error, "old data could not be removed");
            }
            None => return,
        }
    }
}
