//! The engine over the archive of one data folder.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::prelude::SessionContext;
use tokio::task::JoinSet;

use crate::error::SqlError;
use crate::limits::Limits;
use crate::locate_error::located;
use crate::planned::{self, Planned};
use crate::rows::Rows;
use crate::scan_stats::ScanEstimate;
use crate::table_names::{QUARANTINE, folder_of};
use crate::threads::Threads;
use crate::value::Value;
use crate::{archive_table, quarantine_table, session};

/// SQL over the archive of a data folder. The next query sees files that were added, replaced or
/// removed.
pub struct LocalSql {
    context: SessionContext,
    limits: Limits,
    /// The archive's folder, to name a file that cannot be read.
    archive_folder: PathBuf,
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
    /// [`SqlError::NoArchive`] if the folder has none, [`SqlError::Engine`] if the engine does not
    /// start.
    pub async fn open(data_dir: &Path, limits: Limits) -> Result<Self, SqlError> {
        let archive_folder = archive::table_folder(data_dir);
        if !archive_folder.is_dir() {
            return Err(SqlError::NoArchive(archive_folder));
        }
        let threads = Threads::start(limits.threads)?;
        let context = session::open(&archive_folder, limits).await?;
        Ok(Self {
            context,
            limits,
            archive_folder,
            threads,
        })
    }

    /// Starts one statement that reads (SELECT, WITH, VALUES, EXPLAIN, SHOW or DESCRIBE), with values
    /// for each `?` of it. Rows arrive as they are found, at most one more than
    /// [`Limits::rows_max`]. Dropping the rows stops the query; no later query waits for it, since
    /// each has threads of its own.
    ///
    /// # Errors
    /// [`SqlError`] says what is wrong and where.
    pub async fn start(&self, sql: &str, values: &[Value]) -> Result<Rows, SqlError> {
        let planned = self.planned(sql, values).await?;
        Rows::start(planned, self.limits, &self.archive_folder)
    }

    /// What a statement would read, without reading more than the footers of the files.
    ///
    /// # Errors
    /// As [`LocalSql::start`].
    pub async fn estimate(&self, sql: &str, values: &[Value]) -> Result<ScanEstimate, SqlError> {
        let planned = self.planned(sql, values).await?;
        Ok(ScanEstimate::of(&planned.physical))
    }

    /// The days for which a table has files, in order: [`crate::PRICE_ARCHIVE`], [`QUARANTINE`] or [`crate::ANOMALIES`].
    ///
    /// # Errors
    /// [`SqlError::Engine`] if the folder cannot be listed.
    pub fn days(&self, table: &str) -> Result<Vec<NaiveDate>, SqlError> {
        let folder = folder_of(table, &self.archive_folder);
        let days = match table {
            QUARANTINE => quarantine_table::days(&folder),
            _ => archive_table::days(&folder),
        };
        days.map_err(|error| SqlError::Engine(error.to_string()))
    }

    /// Tables and views with their columns, by name.
    pub async fn tables(&self) -> Vec<(String, SchemaRef)> {
        session::tables(&self.context.state()).await
    }

    /// Plans on the engine's own threads: a deeply nested statement takes a deep stack.
    async fn planned(&self, sql: &str, values: &[Value]) -> Result<Planned, SqlError> {
        let mut planning = JoinSet::new();
        let (state, sql, values) = (self.context.state(), sql.to_owned(), values.to_vec());
        let limits = self.limits;
        planning.spawn_on(
            async move {
                let planned = planned::plan(state, &sql, &values, limits).await;
                planned.map_err(|error| located(error, &sql))
            },
            self.threads.handle(),
        );
        match planning.join_next().await {
            Some(Ok(planned)) => planned,
            Some(Err(stopped)) => Err(SqlError::Engine(stopped.to_string())),
            None => Err(SqlError::Engine("the query did not start".to_owned())),
        }
    }
}
