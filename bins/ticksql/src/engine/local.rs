//! The engine in this process, over the archive of a data folder.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array as _, AsArray as _};
use async_trait::async_trait;
use chrono::NaiveDate;
use futures_util::stream;
use query::{Limits, LocalSql, Position, Rows, SqlError, type_name};
use tokio_util::sync::CancellationToken;

use super::{
    Answer, Cancelled, DayTable, Engine, EngineError, Estimate, Figures, PastQuery, Progress,
    State, TableColumns,
};
use crate::journal::Journal;
use crate::options::EngineName;
use crate::statement::Statement;

/// The prefix that turns a statement into a request for its plan.
const EXPLAIN: &str = "EXPLAIN ";

/// How often a query that has no rows yet reports its progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Queries that run here.
pub(crate) struct Local {
    sql: LocalSql,
    journal: Option<Journal>,
}

impl Local {
    /// Opens the archive of a data folder. Earlier queries are read from the journal.
    pub(crate) async fn open(
        data_dir: &Path,
        limits: Limits,
        journal: Option<Journal>,
    ) -> Result<Self, EngineError> {
        let sql = LocalSql::open(data_dir, limits).await?;
        Ok(Self { sql, journal })
    }
}

#[async_trait]
impl Engine for Local {
    fn name(&self) -> EngineName {
        EngineName::Local
    }

    async fn estimate(&self, statement: &Statement) -> Result<Estimate, EngineError> {
        let estimate = self
            .sql
            .estimate(&statement.sql, &statement.parameters)
            .await
            .map_err(|error| with_position(error, statement))?;
        Ok(Estimate {
            days: estimate.days,
            files: estimate.files,
            bytes: estimate.bytes,
            unknown: None,
            note: None,
        })
    }

    async fn plan(&self, statement: &Statement) -> Result<String, EngineError> {
        let sql = format!("{EXPLAIN}{}", statement.sql);
        let rows = self.sql.start(&sql, &statement.parameters).await;
        let mut rows = rows.map_err(|error| {
            let error = error.with_position(without_explain);
            with_position(error, statement)
        })?;
        let mut text = String::new();
        while let Some(batch) = rows.next().await? {
            let (Some(kinds), Some(plans)) = (batch.columns().first(), batch.columns().get(1))
            else {
                continue;
            };
            let (kinds, plans) = (kinds.as_string_opt::<i32>(), plans.as_string_opt::<i32>());
            let (Some(kinds), Some(plans)) = (kinds, plans) else {
                continue;
            };
            for row in 0..kinds.len() {
                text += &format!("{}\n{}\n", kinds.value(row), plans.value(row));
            }
        }
        Ok(text)
    }

    async fn run(
        &self,
        statement: &Statement,
        progress: &(dyn Fn(Progress) + Send + Sync),
        cancel: CancellationToken,
    ) -> Result<Answer, EngineError> {
        let started = Instant::now();
        let report = |state, scanned_bytes| {
            progress(Progress {
                state,
                queued: Duration::ZERO,
                ran: started.elapsed(),
                scanned_bytes,
            });
        };
        report(State::Running, 0);
        let rows = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(cancelled(0)),
            rows = self.sql.start(&statement.sql, &statement.parameters) => rows,
        };
        let mut rows = rows.map_err(|error| with_position(error, statement))?;
        let (schema, reads) = (rows.schema().clone(), rows.scan_stats());
        let report_running = |scanned| report(State::Running, scanned);
        let first = first(&mut rows, statement, &cancel, report_running).await?;
        report(State::Reading, reads.by_now().1);
        let figures = move || {
            let (files, scanned_bytes) = reads.by_now();
            Figures {
                query_id: None,
                scanned_bytes,
                files: Some(files),
                reused: false,
                queued: Duration::ZERO,
                ran: started.elapsed(),
            }
        };
        // Each batch is passed on before the next one is awaited, which may fail.
        let batches = stream::try_unfold(
            (first, rows, cancel),
            async |(first, mut rows, cancel)| {
                let next = match first {
                    Some(first) => Some(first),
                    None => tokio::select! {
                        biased;
                        () = cancel.cancelled() => return Err(cancelled(rows.scan_stats().by_now().1)),
                        next = rows.next() => next?,
                    },
                };
                Ok(next.map(|batch| (batch, (None, rows, cancel))))
            },
        );
        Ok(Answer {
            schema,
            batches: Box::pin(batches),
            figures: Arc::new(figures),
        })
    }

    async fn tables(&self) -> Result<Vec<TableColumns>, EngineError> {
        let tables = self.sql.tables().await.into_iter();
        Ok(tables
            .map(|(name, schema)| {
                let columns = schema.fields().iter();
                TableColumns {
                    name,
                    columns: columns
                        .map(|field| (field.name().clone(), type_name(field.data_type())))
                        .collect(),
                }
            })
            .collect())
    }

    async fn days(&self, table: DayTable) -> Result<Vec<NaiveDate>, EngineError> {
        Ok(self.sql.days(table.name())?)
    }

    async fn history(&self, count_max: usize) -> Result<Vec<PastQuery>, EngineError> {
        Ok(match &self.journal {
            Some(journal) => journal.newest_local(count_max),
            None => Vec::new(),
        })
    }

    async fn cancel(&self, id: &str) -> Result<(), EngineError> {
        Err(EngineError::Usage(format!(
            "{id} cannot be cancelled from here: stop a local query with Ctrl-C or SIGTERM"
        )))
    }
}

/// Maps a position in the EXPLAIN statement to the statement itself.
fn without_explain(mut position: Position) -> Position {
    if position.line == 1 {
        position.column = position.column.saturating_sub(EXPLAIN.len() as u64).max(1);
    }
    position
}

/// The first rows, or `None` if there are none.
async fn first(
    rows: &mut Rows,
    statement: &Statement,
    cancel: &CancellationToken,
    report: impl Fn(u64),
) -> Result<Option<arrow::array::RecordBatch>, EngineError> {
    let reads = rows.scan_stats();
    let mut turns = tokio::time::interval(PROGRESS_EVERY);
    let mut next = Box::pin(rows.next());
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(cancelled(reads.by_now().1)),
            next = &mut next => return next.map_err(|error| with_position(error, statement)),
            _ = turns.tick() => report(reads.by_now().1),
        }
    }
}

fn cancelled(scanned_bytes: u64) -> EngineError {
    EngineError::Cancelled(Cancelled {
        scanned_bytes,
        ..Cancelled::default()
    })
}

fn with_position(error: SqlError, statement: &Statement) -> EngineError {
    EngineError::from(error.with_position(|position| statement.source_position(position)))
}

impl From<SqlError> for EngineError {
    fn from(error: SqlError) -> Self {
        let (message, position) = (error.to_string(), error.position());
        match error {
            SqlError::NoArchive(_) => Self::Usage(message),
            SqlError::NotReadOnly(_) => Self::Refused(message),
            SqlError::Unreadable { .. }
            | SqlError::UnreadableSomewhere(_)
            | SqlError::Engine(_) => Self::Service(message),
            SqlError::Syntax { .. }
            | SqlError::NotOne(_)
            | SqlError::TooLong { .. }
            | SqlError::UnknownTable { .. }
            | SqlError::UnknownColumn { .. }
            | SqlError::Invalid { .. }
            | SqlError::OutOfMemory { .. }
            | SqlError::Failed(_) => Self::Query { message, position },
        }
    }
}
