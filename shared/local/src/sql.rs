//! SQL over the archive: read only, within limits, and nothing but the archive in reach.
//!
//! Tables: `price_archive` (the files as they are), `price_history` (the column names of the JSON
//! record) and `ticks` (with `time`, a real timestamp). The engine is DataFusion, on threads of its
//! own, so that a heavy query does not hold up the process around it.

mod answer;
mod error;
mod guard;
mod nearest;
mod session;
mod table;
mod verify;

use std::collections::HashSet;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayData, ArrayRef, AsArray as _};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::dataframe::DataFrame;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SQLOptions, SessionContext};
use futures_util::TryStreamExt as _;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

pub use answer::Answer;
pub use error::{Place, SqlError};
use guard::{Allowed, Shape};

/// What a query may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows of an answer; one with more is cut and says so.
    pub rows_max: usize,
    /// Bytes of an answer in memory; one with more is cut and says so.
    pub answer_bytes_max: usize,
    /// How long a query may take, its wait for others included.
    pub time_max: Duration,
    /// Bytes that the operators of all running queries may hold together (sorting, grouping,
    /// joining). Nothing is spilled to disk. What is on its way between operators is not counted:
    /// see `docs/api.md` for what was measured.
    pub memory_bytes_max: usize,
    /// Queries that run at a time; more wait.
    pub queries_max: usize,
    /// Threads that work on queries.
    pub threads: usize,
}

impl Default for Limits {
    /// Limits for a server that does other work on the same machine.
    fn default() -> Self {
        Self {
            rows_max: 10_000,
            answer_bytes_max: 64 * 1024 * 1024,
            time_max: Duration::from_secs(30),
            memory_bytes_max: 128 * 1024 * 1024,
            queries_max: 4,
            threads: 2,
        }
    }
}

/// SQL over the archive of a data folder. Files that are added, replaced or removed are seen by
/// the next query.
pub struct LocalSql {
    context: SessionContext,
    limits: Limits,
    /// Where the files are, for naming one that cannot be read.
    table: PathBuf,
    places: Semaphore,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl LocalSql {
    /// Opens the archive below a data folder for reading. It may be empty, and another process may
    /// be writing it.
    ///
    /// # Errors
    /// [`SqlError::NoArchive`] where the folder has none, [`SqlError::Engine`] where the engine does
    /// not start.
    pub async fn open(data_dir: &Path, limits: Limits) -> Result<Self, SqlError> {
        let table = crate::archive::table_folder(data_dir);
        if !table.is_dir() {
            return Err(SqlError::NoArchive(table));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads)
            .thread_name("sql")
            .enable_all()
            .build()
            .map_err(|error| SqlError::Engine(error.to_string()))?;
        let context = session::open(&table, limits).await?;
        let places = Semaphore::new(limits.queries_max);
        Ok(Self {
            context,
            limits,
            table,
            places,
            runtime: Some(runtime),
        })
    }

    /// Runs one statement that reads: SELECT, WITH, VALUES, EXPLAIN, SHOW or DESCRIBE. Dropping the
    /// future stops the query.
    ///
    /// # Errors
    /// [`SqlError`] says what is wrong and where, or which limit was reached.
    pub async fn query(&self, sql: &str) -> Result<Answer, SqlError> {
        let started = Instant::now();
        let Some(runtime) = &self.runtime else {
            return Err(SqlError::Engine("it is shutting down".to_owned()));
        };
        // Aborts the query when it is dropped.
        let mut query = JoinSet::new();
        let finished = async {
            let _place = self.places.acquire().await;
            let work = run(self.context.state(), sql.to_owned(), self.limits);
            query.spawn_on(work, runtime.handle());
            query.join_next().await
        };
        match timeout(self.limits.time_max, finished).await {
            Err(_) => Err(SqlError::Timeout(self.limits.time_max)),
            Ok(Some(Ok(Ok(answer)))) => Ok(Answer {
                elapsed: started.elapsed(),
                ..answer
            }),
            Ok(Some(Ok(Err(error)))) => Err(verify::name_file(error, &self.table).await),
            Ok(Some(Err(stopped))) => Err(SqlError::Engine(stopped.to_string())),
            Ok(None) => Err(SqlError::Engine("the query did not start".to_owned())),
        }
    }
}

impl Drop for LocalSql {
    fn drop(&mut self) {
        // A runtime that is dropped where others run would wait, which is not allowed there.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn run(state: SessionState, sql: String, limits: Limits) -> Result<Answer, SqlError> {
    let Allowed { statement, shape } = guard::parse(&sql, &state)?;
    let unknown = session::unknown_tables(&state, &statement).await?;
    let read_only = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    let understood = |error| error::of_planning(error, &unknown, limits);
    let plan = state
        .statement_to_plan(statement)
        .await
        .map_err(understood)?;
    read_only
        .verify_plan(&plan)
        .map_err(|error| SqlError::NotReadOnly(error::message(&error)))?;
    let plan = match shape {
        Shape::Rows => limited(plan, limits.rows_max).map_err(understood)?,
        Shape::Told => plan,
    };
    let frame = DataFrame::new(state, plan);
    let schema = answer::unique_names(frame.schema().as_arrow());
    let context = Arc::new(frame.task_ctx());
    let physical = frame.create_physical_plan().await.map_err(understood)?;
    let failed = |error| error::of_running(error, limits);
    let stream = execute_stream(Arc::clone(&physical), context).map_err(failed)?;
    let (batches, truncated) = collect(stream, limits).await?;
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let (files, bytes_read) = reads(&physical);
    let batches = answer::renamed(batches, &schema);
    let elapsed = Duration::ZERO;
    Ok(Answer {
        schema,
        batches: batches?,
        rows,
        truncated,
        files,
        bytes_read,
        elapsed,
    })
}

/// One row more than the limit tells a full answer from a cut one.
fn limited(plan: LogicalPlan, rows_max: usize) -> datafusion::error::Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .limit(0, Some(rows_max.saturating_add(1)))?
        .build()
}

async fn collect(
    mut stream: datafusion::execution::SendableRecordBatchStream,
    limits: Limits,
) -> Result<(Vec<RecordBatch>, bool), SqlError> {
    let mut batches: Vec<RecordBatch> = Vec::new();
    let mut rows_left = limits.rows_max;
    let mut bytes_left = limits.answer_bytes_max;
    let mut held = HashSet::new();
    while let Some(batch) = stream
        .try_next()
        .await
        .map_err(|e| error::of_running(e, limits))?
    {
        let batch = compacted(batch)?;
        let columns = batch.columns().iter();
        let bytes: usize = columns
            .map(|column| bytes_not_held(&column.to_data(), &mut held))
            .sum();
        if batch.num_rows() > rows_left || bytes > bytes_left {
            let room = if bytes > bytes_left { 0 } else { rows_left };
            batches.push(batch.slice(0, room.min(batch.num_rows())));
            return Ok((batches, true));
        }
        rows_left -= batch.num_rows();
        bytes_left -= bytes;
        batches.push(batch);
    }
    Ok((batches, false))
}

/// A batch whose texts hold no more than themselves: they are views, and would keep all that was
/// read of the files around them.
fn compacted(batch: RecordBatch) -> Result<RecordBatch, SqlError> {
    let (schema, columns, rows) = batch.into_parts();
    let compact = |column: ArrayRef| match column.as_string_view_opt() {
        Some(texts) => Arc::new(texts.gc()),
        None => column,
    };
    let columns = columns.into_iter().map(compact).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|error| SqlError::Engine(error.to_string()))
}

/// The memory behind an array, without the buffers that are held by then: batches are often slices
/// of one larger one.
fn bytes_not_held(data: &ArrayData, held: &mut HashSet<NonZero<usize>>) -> usize {
    let nulls = data.nulls().map(|nulls| nulls.inner().inner());
    let mut bytes = 0;
    for buffer in data.buffers().iter().chain(nulls) {
        if held.insert(buffer.data_ptr().addr()) {
            bytes += buffer.capacity();
        }
    }
    for child in data.child_data() {
        bytes += bytes_not_held(child, held);
    }
    bytes
}

/// The files that a plan had to look into, and the bytes that were read of them.
fn reads(plan: &Arc<dyn ExecutionPlan>) -> (usize, u64) {
    let (mut files, mut bytes) = table::reads(plan);
    for child in plan.children() {
        let (of_child, bytes_of_child) = reads(child);
        files += of_child;
        bytes += bytes_of_child;
    }
    (files, bytes)
}
