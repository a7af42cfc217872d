//! The consumers: each reads from its checkpoint, processes a batch, and advances its checkpoint. If it returns an
//! error or panics, the supervisor restarts it.

mod analysis;

use std::sync::Arc;
use std::time::Duration;

use app::ingest::Ingest;
use app::isolate::Isolation;
use app::live::Conflator;
use app::ports::Clock;
use domain::analytics::AnalysisConfig;
use store::{AnomalyFiles, Archiver, EmbeddedStore, QuarantineFiles, SHARDS, StreamRetention};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use analysis::Analysis;

use crate::live::Live;
use crate::metrics::Metrics;
use crate::supervisor::{Failure, Progress, Supervisor};

/// The number of waiting ticks at which the archive is written early.
const ARCHIVE_AHEAD_TICKS: u64 = 200_000;

/// How often the outbox is drained, starting right after the start.
const DRAIN_EVERY: Duration = Duration::from_secs(10);

/// How often old data is removed.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// When old data is removed for the first time, after the burst of work at the start.
const SWEEP_FIRST_AFTER: Duration = Duration::from_secs(60);

/// How often the rate of ticks and the traffic are sampled.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// How long data is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// In the store, in milliseconds.
    pub(crate) store_ms: i64,
    /// In the stream, after it has been read, in milliseconds.
    pub(crate) stream_ms: i64,
    /// The most bytes of the stream on disk.
    pub(crate) stream_bytes_max: u64,
}

/// What the consumers need.
pub(crate) struct Consumers {
    pub(crate) store: EmbeddedStore,
    pub(crate) ingest: Ingest,
    pub(crate) conflator: Arc<Conflator>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) archiver: Arc<Archiver>,
    pub(crate) quarantine_files: QuarantineFiles,
    pub(crate) anomaly_files: AnomalyFiles,
    pub(crate) live: Live,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) archive_every: Duration,
    pub(crate) analysis: AnalysisConfig,
    pub(crate) retention: Retention,
}

/// Starts all consumers; each ends after its last batch once `stopping` is cancelled.
pub(crate) fn spawn(consumers: Consumers, supervisor: &Supervisor, stopping: &CancellationToken) {
    let Consumers {
        store,
        ingest,
        conflator,
        clock,
        archiver,
        quarantine_files,
        anomaly_files,
        live,
        metrics,
        archive_every,
        analysis: config,
        retention,
    } = consumers;
    for shard in 0..SHARDS {
        let analysis = Arc::new(Analysis {
            stream: store.clone(),
            isolation: Isolation {
                shard,
                store: Arc::new(store.clone()),
                feed: Arc::clone(&conflator) as _,
                clock: Arc::clone(&clock),
                config: config.clone(),
            },
        });
        supervisor.spawn(
            format!("analytics-{shard}"),
            stopping,
            move |progress, stopping| {
                let analysis = Arc::clone(&analysis);
                async move { analysis.run(&progress, &stopping).await }
            },
        );
    }
    supervisor.spawn("archive", stopping, move |progress, stopping| {
        archive(Arc::clone(&archiver), archive_every, progress, stopping)
    });
    let quarantine_files = Arc::new(quarantine_files);
    supervisor.spawn("quarantine", stopping, move |progress, stopping| {
        let files = Arc::clone(&quarantine_files);
        quarantine(files, archive_every, retention.store_ms, progress, stopping)
    });
    supervisor.spawn("anomalies", stopping, move |progress, stopping| {
        anomalies(anomaly_files.clone(), archive_every, progress, stopping)
    });
    let outbox = store.clone();
    supervisor.spawn("outbox", stopping, move |progress, stopping| {
        drain_outbox(outbox.clone(), ingest.clone(), progress, stopping)
    });
    supervisor.spawn("live", stopping, move |progress, stopping| {
        let live = live.clone();
        async move {
            live.send_frames(&progress, &stopping).await;
            Ok(())
        }
    });
    let sampled = store.clone();
    supervisor.spawn("metrics", stopping, move |progress, stopping| {
        sample(sampled.clone(), Arc::clone(&metrics), progress, stopping)
    });
    supervisor.spawn("retention", stopping, move |progress, stopping| {
        sweep(store.clone(), retention, progress, stopping)
    });
}

/// Writes the archive at intervals, earlier if many ticks are waiting or the last attempt failed, and once more at
/// the end.
async fn archive(
    archiver: Arc<Archiver>,
    every: Duration,
    progress: Progress,
    stopping: CancellationToken,
) -> Result<(), Failure> {
    let mut written_at = Instant::now();
    loop {
        let last = stopping
            .run_until_cancelled(tokio::time::sleep(every.min(Duration::from_secs(1))))
            .await
            .is_none();
        let waiting = archiver.lag_ticks()?;
        let is_due = last
            || progress.is_down()
            || waiting >= ARCHIVE_AHEAD_TICKS
            || (waiting > 0 && written_at.elapsed() >= every);
        if is_due {
            let flushed = archiver.flush().await?;
            tracing::debug!(ticks = flushed.ticks, files = flushed.files, "archived");
            written_at = Instant::now();
            progress.made();
        }
        if last {
            return Ok(());
        }
    }
}

/// Waits for the next turn of a consumer, which is at once if the last one failed. Returns whether the process stops.
async fn stops_within(every: Duration, progress: &Progress, stopping: &CancellationToken) -> bool {
    let wait = if progress.is_down() {
        Duration::ZERO
    } else {
        every
    };
    let waited = stopping.run_until_cancelled(tokio::time::sleep(wait));
    waited.await.is_none()
}

/// Writes the quarantine's files at intervals and once more at the end, and removes those older than
/// the retention.
async fn quarantine(
    files: Arc<QuarantineFiles>,
    every: Duration,
    retention_ms: i64,
    progress: Progress,
    stopping: CancellationToken,
) -> Result<(), Failure> {
    loop {
        let last = stops_within(every, &progress, &stopping).await;
        let flushed = files.flush().await;
        let before_ms = runtime::clock::now_ms() - retention_ms;
        // Old files are removed even if new ones cannot be written.
        files.sweep(before_ms).await?;
        flushed?;
        progress.made();
        if last {
            return Ok(());
        }
    }
}

/// Writes the files of anomalies at intervals and once more at the end.
async fn anomalies(
    files: AnomalyFiles,
    every: Duration,
    progress: Progress,
    stopping: CancellationToken,
) -> Result<(), Failure> {
    loop {
        let last = stops_within(every, &progress, &stopping).await;
        files.flush().await?;
        progress.made();
        if last {
            return Ok(());
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
) -> Result<(), Failure> {
    let mut turns = tokio::time::interval(DRAIN_EVERY);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        let Some(drained) = stopping.run_until_cancelled(ingest.drain(&store)).await else {
            break;
        };
        let ticks = drained?;
        if ticks > 0 {
            tracing::info!(ticks, "the outbox was drained");
        }
        progress.made();
    }
    Ok(())
}

async fn sample(
    store: EmbeddedStore,
    metrics: Arc<Metrics>,
    progress: Progress,
    stopping: CancellationToken,
) -> Result<(), Failure> {
    let mut turns = tokio::time::interval(SAMPLE_EVERY);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        let (now_ms, ledger) = (runtime::clock::now_ms(), store.ledger());
        metrics.ticks_per_second(now_ms, ledger.stored_rows);
        metrics
            .traffic
            .sample(now_ms, &ledger, store.stream_records());
        progress.made();
    }
    Ok(())
}

async fn sweep(
    store: EmbeddedStore,
    retention: Retention,
    progress: Progress,
    stopping: CancellationToken,
) -> Result<(), Failure> {
    let first = if progress.is_down() {
        Duration::ZERO
    } else {
        SWEEP_FIRST_AFTER
    };
    let mut turns = tokio::time::interval_at(Instant::now() + first, SWEEP_EVERY);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        let now_ms = runtime::clock::now_ms();
        let stream = StreamRetention {
            from_ms: now_ms - retention.stream_ms,
            bytes_max: retention.stream_bytes_max,
        };
        let sweep = store.sweep(now_ms - retention.store_ms, stream, &store::CONSUMERS);
        let Some(swept) = stopping.run_until_cancelled(sweep).await else {
            break;
        };
        let swept = swept?;
        tracing::info!(?swept, "old data was removed");
        progress.made();
    }
    Ok(())
}
