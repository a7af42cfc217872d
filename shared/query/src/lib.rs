//! SQL over the archive: read only, within limits, and nothing but the archive in reach.
//!
//! Tables: `price_archive` (the files as they are), `price_history` (the column names of the JSON
//! record), `ticks` (with `time`, a real timestamp, and the cohort) and `quarantine` (what could not
//! become a tick). The engine is DataFusion, on threads of its
//! own, so that a heavy query does not hold up the process around it.

mod answer;
mod around;
mod by_text;
mod condition;
mod covered;
mod days;
mod error;
mod functions;
mod gathering;
mod guard;
mod json;
mod missing;
mod nearest;
mod partial;
mod partitions;
mod quarantine;
mod reads;
mod relations;
mod rows;
mod run;
mod scans;
mod sent_once;
mod session;
mod table;
mod threads;
mod value;
mod verify;
mod wording;
mod yielding;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::prelude::SessionContext;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use threads::Threads;

pub use answer::{Answer, type_name};
pub use days::day_predicate;
pub use error::{Place, SqlError};
pub use guard::{Reading, scans};
pub use json::json_writer;
pub use nearest::nearest;
pub use reads::{Estimate, Reads};
pub use rows::Rows;
pub use scans::ArchiveScan;

pub use value::Value;

/// What a query may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows of an answer; one with more is cut and says so. `usize::MAX` is no limit.
    pub rows_max: usize,
    /// Bytes of an answer in memory; one with more is cut and says so.
    pub answer_bytes_max: usize,
    /// How long a query may take, its wait for others included.
    pub time_max: Duration,
    /// Bytes that the operators of all running queries may hold together (sorting, grouping,
    /// joining). What is on its way between operators is not counted: see `docs/api.md` for what
    /// was measured.
    pub memory_bytes_max: usize,
    /// Bytes of temporary files that operators may write where that memory does not suffice; 0
    /// where a query fails then.
    pub spill_bytes_max: u64,
    /// Rows of a batch. What is under way between operators grows with it, and goes uncounted: an
    /// expression that makes long texts of short ones makes as many of them at once.
    pub batch_rows: usize,
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
            spill_bytes_max: 0,
            batch_rows: 1_024,
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
    places: Arc<Semaphore>,
    threads: Threads,
}

impl LocalSql {
    /// Whether a data folder has an archive; it may be empty.
    #[must_use]
    pub fn has_archive(data_dir: &Path) -> bool {
        archive::table_folder(data_dir).is_dir()
    }

    /// Opens the archive below a data folder for reading. It may be empty, and another process may
    /// be writing it.
    ///
    /// # Errors
    /// [`SqlError::NoArchive`] where the folder has none, [`SqlError::Engine`] where the engine does
    /// not start.
    pub async fn open(data_dir: &Path, limits: Limits) -> Result<Self, SqlError> {
        let table = archive::table_folder(data_dir);
        if !table.is_dir() {
            return Err(SqlError::NoArchive(table));
        }
        let threads = Threads::start(limits.threads)?;
        let context = session::open(&table, limits).await?;
        let places = Arc::new(Semaphore::new(limits.queries_max));
        Ok(Self {
            context,
            limits,
            table,
            places,
            threads,
        })
    }

    /// Runs one statement that reads: SELECT, WITH, VALUES, EXPLAIN, SHOW or DESCRIBE. Dropping the
    /// future stops the query.
    ///
    /// # Errors
    /// [`SqlError`] says what is wrong and where, or which limit was reached.
    pub async fn query(&self, sql: &str) -> Result<Answer, SqlError> {
        let started = Instant::now();
        // Aborts the query when it is dropped.
        let mut query = JoinSet::new();
        let finished = async {
            let _place = self.places.acquire().await;
            let (state, table) = (self.context.state(), self.table.clone());
            let work = run::answer(state, sql.to_owned(), self.limits, table);
            query.spawn_on(work, self.threads.handle());
            query.join_next().await
        };
        match timeout(self.limits.time_max, finished).await {
            Err(_) => Err(SqlError::Timeout(self.limits.time_max)),
            Ok(Some(Ok(Ok(answer)))) => Ok(Answer {
                elapsed: started.elapsed(),
                ..answer
            }),
            Ok(Some(Ok(Err(error)))) => Err(error),
            Ok(Some(Err(stopped))) => Err(SqlError::Engine(stopped.to_string())),
            Ok(None) => Err(SqlError::Engine("the query did not start".to_owned())),
        }
    }

    /// Starts one statement that reads, with values for each `?` of it. Its rows come as they are
    /// found, up to one more than [`Limits::rows_max`]; the other limits on answers and
    /// [`Limits::time_max`] are the caller's. Dropping the rows stops the query, and frees its place at
    /// once: it has threads of its own, so that the next one waits for none of them.
    ///
    /// # Errors
    /// [`SqlError`] says what is wrong and where.
    pub async fn start(&self, sql: &str, values: &[Value]) -> Result<Rows, SqlError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|error| SqlError::Engine(error.to_string()))?;
        let planned = self.planned(sql, values).await?;
        Rows::start(planned, place, self.limits, &self.table)
    }

    /// What a statement would read, without reading more than the footers of the files.
    ///
    /// # Errors
    /// As [`LocalSql::start`].
    pub async fn estimate(&self, sql: &str, values: &[Value]) -> Result<Estimate, SqlError> {
        Ok(Estimate::of(&self.planned(sql, values).await?.physical))
    }

    /// The days for which there are files, in their order.
    ///
    /// # Errors
    /// [`SqlError::Engine`] where the folder cannot be listed.
    pub fn days(&self) -> Result<Vec<NaiveDate>, SqlError> {
        partitions::days_with_files(&self.table)
            .map_err(|error| SqlError::Engine(error.to_string()))
    }

    /// Tables and views with their columns, by name.
    pub async fn tables(&self) -> Vec<(String, SchemaRef)> {
        session::tables(&self.context.state()).await
    }

    /// Plans on the engine's own threads: a deep statement takes a deep stack.
    async fn planned(&self, sql: &str, values: &[Value]) -> Result<run::Planned, SqlError> {
        let mut planning = JoinSet::new();
        let (state, sql, values) = (self.context.state(), sql.to_owned(), values.to_vec());
        let limits = self.limits;
        planning.spawn_on(
            async move { run::plan(state, &sql, &values, limits).await },
            self.threads.handle(),
        );
        match planning.join_next().await {
            Some(Ok(planned)) => planned,
            Some(Err(stopped)) => Err(SqlError::Engine(stopped.to_string())),
            None => Err(SqlError::Engine("the query did not start".to_owned())),
        }
    }
}
