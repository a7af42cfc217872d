//! The rows of a running query.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use futures_util::TryStreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::{self, SqlError};
use crate::limits::Limits;
use crate::locate_corrupt_file::name_file;
use crate::planned::Planned;
use crate::result_columns::renamed;
use crate::scan_stats::ScanStats;
use crate::threads::Threads;

/// Batches that wait for the reader of the rows; at this number the query waits.
const BATCHES_AHEAD: usize = 4;

/// The rows of a query that runs. Dropping them stops it.
pub struct Rows {
    schema: SchemaRef,
    stats: ScanStats,
    batches: mpsc::Receiver<Result<RecordBatch, SqlError>>,
    query: JoinSet<()>,
    archive_folder: PathBuf,
    /// Its own, so that a query that does not yield delays no other.
    _threads: Threads,
}

impl Rows {
    pub(crate) fn start(
        planned: Planned,
        limits: Limits,
        archive_folder: &Path,
    ) -> Result<Self, SqlError> {
        let threads = Threads::start(limits.threads)?;
        let (found, batches) = mpsc::channel(BATCHES_AHEAD);
        let (schema, stats) = (
            Arc::clone(&planned.schema),
            ScanStats::of(&planned.physical),
        );
        let mut query = JoinSet::new();
        let work = async move {
            if let Err(error) = send(&planned, &found, limits).await {
                // A reader that is gone does not need the error either.
                _ = found.send(Err(error)).await;
            }
        };
        query.spawn_on(work, threads.handle());
        Ok(Self {
            schema,
            stats,
            batches,
            query,
            archive_folder: archive_folder.to_owned(),
            _threads: threads,
        })
    }

    /// The columns; two may have the same name.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What the query reads.
    #[must_use]
    pub fn scan_stats(&self) -> ScanStats {
        self.stats.clone()
    }

    /// The next rows, or `None` at the end.
    ///
    /// # Errors
    /// [`SqlError`] if the query failed; no rows come after it.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        match self.batches.recv().await {
            Some(Ok(batch)) => Ok(Some(batch)),
            Some(Err(error)) => {
                let files = self.stats.files(&self.archive_folder);
                Err(name_file(error, files).await)
            }
            // A query that was aborted must not look like one that ended.
            None => match self.query.join_next().await {
                Some(Err(stopped)) => Err(SqlError::Engine(stopped.to_string())),
                Some(Ok(())) | None => Ok(None),
            },
        }
    }
}

async fn send(
    planned: &Planned,
    found: &mpsc::Sender<Result<RecordBatch, SqlError>>,
    limits: Limits,
) -> Result<(), SqlError> {
    let mut stream = planned.stream(limits)?;
    let failed = |error| error::of_running(error, limits);
    while let Some(batch) = stream.try_next().await.map_err(failed)? {
        let batch = renamed(&batch, &planned.schema)?;
        if found.send(Ok(batch)).await.is_err() {
            break;
        }
    }
    Ok(())
}
