//! The consumers: each reads where it stood, does a batch, and marks it done.

use std::sync::Arc;
use std::time::Duration;

use app::analyse::Analyser;
use app::broadcast::Coalescer;
use app::ingest::Ingest;
use app::ports::SequenceNumber;
use app::redrive::Redrive;
use domain::analytics::AnalysisConfig;
use store::{Archiver, Embedded, QuarantineFiles, QueueName, SHARDS};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::live::Live;
use crate::metrics::Metrics;

/// The consumers of the stream, by the names of their checkpoints.
pub(crate) const STREAM_CONSUMERS: [&str; 2] = ["analytics", "archive"];

/// Records in one batch of a consumer.
const BATCH_RECORDS: usize = 2_000;

/// Ticks in one batch of the broadcast: only the latest of each pair goes on from there.
const BROADCAST_TICKS: usize = 20_000;

/// How often the analysis stores what it holds, while few pairs are busy.
const COMMIT_EVERY: Duration = Duration::from_millis(250);

/// Busy pairs for which it takes as long again: a commit stores all their states, and with many
/// of them that would be most of what is written.
const PAIRS_PER_STEP: u32 = 50;

/// The longest time between commits.
const COMMIT_WITHIN: Duration = Duration::from_secs(3);

/// How long a consumer gathers after it was woken, so that it does not run for each tick.
const GATHER: Duration = Duration::from_millis(5);

/// How long a consumer waits after a failure before it tries again.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Ticks that wait for the archive before it is written ahead of time.
const ARCHIVE_AHEAD_TICKS: u64 = 200_000;

/// How often the redrive queue is tried.
const REDRIVE_EVERY: Duration = Duration::from_secs(1);

/// How often what deliveries left between store and stream is worked off: at once after a start,
/// and then in turns.
const WORK_OFF_EVERY: Duration = Duration::from_secs(10);

/// How often old data is swept.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often the rate of ticks is sampled.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// What the consumers need.
pub(crate) struct Consumers {
    pub(crate) store: Embedded,
    pub(crate) ingest: Ingest,
    pub(crate) coalescer: Arc<Coalescer>,
    pub(crate) archiver: Arc<Archiver>,
    pub(crate) quarantine_files: QuarantineFiles,
    pub(crate) live: Live,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) archive_every: Duration,
    pub(crate) retention_ms: i64,
}

/// Starts all consumers; each ends once `stopping` is cancelled and its last batch is done.
pub(crate) fn spawn(consumers: Consumers, tasks: &TaskTracker, stopping: &CancellationToken) {
    let Consumers {
        store,
        ingest,
        coalescer,
        archiver,
        quarantine_files,
        live,
        metrics,
        archive_every,
        retention_ms,
    } = consumers;
    for shard in 0..SHARDS {
        let feed = Arc::clone(&coalescer);
        let analyser = Analyser::new(
            shard,
            Arc::new(store.clone()),
            feed as _,
            AnalysisConfig::default(),
        );
        tasks.spawn(analyse(store.clone(), shard, analyser, stopping.clone()));
    }
    tasks.spawn(broadcast(store.clone(), coalescer, stopping.clone()));
    tasks.spawn(live.turn_over(stopping.clone()));
    tasks.spawn(archive(archiver, archive_every, stopping.clone()));
    tasks.spawn(quarantine(
        quarantine_files,
        archive_every,
        retention_ms,
        stopping.clone(),
    ));
    tasks.spawn(redrive(store.clone(), stopping.clone()));
    tasks.spawn(work_off(store.clone(), ingest, stopping.clone()));
    tasks.spawn(sample(store.clone(), metrics, stopping.clone()));
    tasks.spawn(sweep(store, retention_ms, stopping.clone()));
}

/// Waits for the next commit; answers whether to go on.
async fn woken(commits: &mut watch::Receiver<u64>, stopping: &CancellationToken) -> bool {
    match stopping.run_until_cancelled(commits.changed()).await {
        Some(Ok(())) => stopping
            .run_until_cancelled(tokio::time::sleep(GATHER))
            .await
            .is_some(),
        Some(Err(_)) | None => false,
    }
}

async fn analyse(store: Embedded, shard: u8, mut analyser: Analyser, stopping: CancellationToken) {
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
                woken(&mut commits, &stopping).await;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(shard, error = %error, "the analysis failed; it tries again from its checkpoint");
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
    store: &Embedded,
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

async fn broadcast(store: Embedded, coalescer: Arc<Coalescer>, stopping: CancellationToken) {
    let queue = store.queue(QueueName::Broadcast);
    let mut commits = store.commits();
    loop {
        let step = async {
            // Looked up before the readers: who comes in between begins with the latest values,
            // which hold all up to here, and gets what follows.
            let (waiting, last) = (queue.depth(), queue.tail());
            if coalescer.readers() == 0 {
                if waiting > 0 {
                    queue.done(last, Vec::new()).await?;
                }
                return Ok(usize::from(waiting > 0));
            }
            let taken = queue.front(BROADCAST_TICKS).await?;
            let count = taken.ticks.len();
            if count > 0 {
                coalescer.take(taken.ticks);
                queue.done(taken.last, Vec::new()).await?;
            }
            Ok::<_, store::StorageError>(count)
        };
        match step.await {
            Ok(0) => {
                if !woken(&mut commits, &stopping).await {
                    return;
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(error = %error, "the broadcast queue cannot be read");
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

/// Writes the archive in turns, ahead of time when much waits, and once more at the end.
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

/// Writes the quarantine's files in turns, and once more at the end; what is older than the
/// retention goes.
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

async fn redrive(store: Embedded, stopping: CancellationToken) {
    let queue = store.queue(QueueName::Redrive);
    let redrive = Redrive {
        stream: Arc::new(store.clone()),
    };
    let mut turns = tokio::time::interval(REDRIVE_EVERY);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        let step = async {
            let taken = queue.front(BATCH_RECORDS).await?;
            if !taken.ticks.is_empty() {
                let back = redrive
                    .append_again(&taken.ticks)
                    .await
                    .map_err(|error| error.source)?;
                queue.done(taken.last, back).await?;
            }
            Ok::<_, Failure>(())
        };
        if let Err(error) = step.await {
            tracing::error!(error = %error, "the redrive queue could not be worked off");
        }
    }
}

/// Offers what a crash left, and what the stream did not take, while the process serves: a note is
/// worked off only once its delivery has ended, and who delivers the same ticks again meets them as
/// duplicates. Dropped in the middle it loses nothing: the note is there until it is settled.
async fn work_off(store: Embedded, ingest: Ingest, stopping: CancellationToken) {
    let mut turns = tokio::time::interval(WORK_OFF_EVERY);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        match stopping.run_until_cancelled(ingest.work_off(&store)).await {
            Some(Ok(0)) => {}
            Some(Ok(ticks)) => {
                tracing::info!(ticks, "ticks that were left were offered to the stream");
            }
            Some(Err(error)) => {
                tracing::error!(error = %error, cause = %error.source, "ticks that were left could not be offered");
            }
            None => return,
        }
    }
}

async fn sample(store: Embedded, metrics: Arc<Metrics>, stopping: CancellationToken) {
    let mut turns = tokio::time::interval(SAMPLE_EVERY);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        metrics.ticks_per_second(runtime::clock::now_ms(), store.ledger().stored_rows);
    }
}

async fn sweep(store: Embedded, retention_ms: i64, stopping: CancellationToken) {
    let mut turns = tokio::time::interval_at(Instant::now() + SWEEP_EVERY / 60, SWEEP_EVERY);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        let before_ms = runtime::clock::now_ms() - retention_ms;
        let swept = stopping
            .run_until_cancelled(store.sweep(before_ms, &STREAM_CONSUMERS))
            .await;
        match swept {
            Some(Ok(swept)) => tracing::info!(?swept, "old data was swept"),
            Some(Err(error)) => tracing::error!(error = %error, "old data could not be swept"),
            None => return,
        }
    }
}
