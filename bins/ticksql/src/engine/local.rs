//! The engine in this process, over the archive of a data folder.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array as _, AsArray as _};
use async_trait::async_trait;
use chrono::NaiveDate;
use futures_util::stream;
use query::{Limits, LocalSql, Rows, SqlError, type_name};
use tokio_util::sync::CancellationToken;

use super::{
    Answer, Cancelled, Engine, EngineError, EngineName, Estimate, Figures, PastQuery, Progress,
    State, Statement, TableColumns,
};
use crate::history::Journal;

/// How often a query that has no rows yet tells how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Queries that run here.
pub(crate) struct Local {
    sql: LocalSql,
    journal: Option<Journal>,
}

impl Local {
    /// Opens the archive of a data folder. Queries of before are read from the journal.
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
            .map_err(|error| placed(error, statement))?;
        Ok(Estimate {
            days: estimate.days,
            files: estimate.files,
            bytes: estimate.bytes,
            unknown: None,
            note: None,
        })
    }

    async fn plan(&self, statement: &Statement) -> Result<String, EngineError> {
        let sql = format!("EXPLAIN {}", statement.sql);
        let rows = self.sql.start(&sql, &statement.parameters).await;
        let mut rows = rows.map_err(|error| placed(error, statement))?;
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
        let told = |state, scanned_bytes| {
            progress(Progress {
                state,
                queued: Duration::ZERO,
                ran: started.elapsed(),
                scanned_bytes,
            });
        };
        told(State::Running, 0);
        let rows = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(cancelled(0)),
            rows = self.sql.start(&statement.sql, &statement.parameters) => rows,
        };
        let mut rows = rows.map_err(|error| placed(error, statement))?;
        let (schema, reads) = (rows.schema().clone(), rows.reads());
        let first = first(&mut rows, &cancel, |scanned| told(State::Running, scanned)).await;
        let first = first.map_err(|error| replaced(error, statement))?;
        told(State::Reading, reads.by_now().1);
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
        let rest = stream::try_unfold((first, rows, cancel), async |(next, mut rows, cancel)| {
            let Some(batch) = next else {
                return Ok(None);
            };
            let next = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(cancelled(rows.reads().by_now().1)),
                next = rows.next() => next?,
            };
            Ok(Some((batch, (next, rows, cancel))))
        });
        Ok(Answer {
            schema,
            batches: Box::pin(rest),
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

    async fn days(&self) -> Result<Option<Vec<NaiveDate>>, EngineError> {
        Ok(Some(self.sql.days()?))
    }

    async fn history(&self, count_max: usize) -> Result<Vec<PastQuery>, EngineError> {
        Ok(match &self.journal {
            Some(journal) => journal.newest_local(count_max),
            None => Vec::new(),
        })
    }

    async fn cancel(&self, id: &str) -> Result<(), EngineError> {
        Err(EngineError::Usage(format!(
            "{id} cannot be cancelled from here: a local query ends with its process, by Ctrl-C or SIGTERM"
        )))
    }
}

/// The first rows, or `None` where there are none.
async fn first(
    rows: &mut Rows,
    cancel: &CancellationToken,
    told: impl Fn(u64),
) -> Result<Option<arrow::array::RecordBatch>, EngineError> {
    let reads = rows.reads();
    let mut turns = tokio::time::interval(PROGRESS_EVERY);
    let mut next = Box::pin(rows.next());
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(cancelled(reads.by_now().1)),
            next = &mut next => return Ok(next?),
            _ = turns.tick() => told(reads.by_now().1),
        }
    }
}

fn cancelled(scanned_bytes: u64) -> EngineError {
    EngineError::Cancelled(Cancelled {
        scanned_bytes,
        ..Cancelled::default()
    })
}

fn placed(error: SqlError, statement: &Statement) -> EngineError {
    EngineError::from(error.placed(|place| statement.origin_of(place)))
}

/// As [`placed`], for an error that is the program's own by now.
fn replaced(error: EngineError, statement: &Statement) -> EngineError {
    if let EngineError::Query { message, place } = error {
        EngineError::Query {
            message,
            place: place.map(|place| statement.origin_of(place)),
        }
    } else {
        error
    }
}

impl From<SqlError> for EngineError {
    fn from(error: SqlError) -> Self {
        let (message, place) = (error.to_string(), error.place());
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
            | SqlError::Failed(_) => Self::Query { message, place },
        }
    }
}
