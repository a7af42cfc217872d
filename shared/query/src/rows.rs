//! Rows as a query finds them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use futures_util::TryStreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;

use super::error::{self, SqlError};
use super::reads::Reads;
use super::run::Planned;
use super::threads::Threads;
use super::{Limits, answer, verify};

/// Batches that wait for who reads the rows. A query that is ahead by so many waits in turn.
const BATCHES_AHEAD: usize = 4;

/// The rows of a query that runs. Dropping them stops it.
pub struct Rows {
    schema: SchemaRef,
    reads: Reads,
    batches: mpsc::Receiver<Result<RecordBatch, SqlError>>,
    query: JoinSet<()>,
    table: PathBuf,
    /// Not the query's own: one that does not let go of its thread would keep it for ever.
    _place: OwnedSemaphorePermit,
    /// Not those of other queries, for the same reason.
    _threads: Threads,
}

impl Rows {
    pub(super) fn start(
        planned: Planned,
        place: OwnedSemaphorePermit,
        limits: Limits,
        table: &Path,
    ) -> Result<Self, SqlError> {
        let threads = Threads::start(limits.threads)?;
        let (found, batches) = mpsc::channel(BATCHES_AHEAD);
        let (schema, reads) = (Arc::clone(&planned.schema), Reads::of(&planned.physical));
        let mut query = JoinSet::new();
        let work = async move {
            if let Err(error) = send(&planned, &found, limits).await {
                // Who no longer listens does not want the error either.
                _ = found.send(Err(error)).await;
            }
        };
        query.spawn_on(work, threads.handle());
        Ok(Self {
            schema,
            reads,
            batches,
            query,
            table: table.to_owned(),
            _place: place,
            _threads: threads,
        })
    }

    /// The columns; no two have the same name.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What the query reads.
    #[must_use]
    pub fn reads(&self) -> Reads {
        self.reads.clone()
    }

    /// The next rows, or `None` at the end.
    ///
    /// # Errors
    /// [`SqlError`] where the query failed; no rows come after it.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        match self.batches.recv().await {
            Some(Ok(batch)) => Ok(Some(batch)),
            Some(Err(error)) => Err(verify::name_file(error, self.reads.files(&self.table)).await),
            // A query that broke off must not pass for one that ended.
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
        let batch = answer::renamed(&batch, &planned.schema)?;
        if found.send(Ok(batch)).await.is_err() {
            break;
        }
    }
    Ok(())
}
