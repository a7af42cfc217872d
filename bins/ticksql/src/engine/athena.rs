//! Athena as an engine: a statement is sent as the service takes it, watched, and stopped with this
//! program.

mod closed;
mod failure;
mod lines;
mod sent;
mod words;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use aws::athena::folder::{Folder, Location};
use aws::athena::{Execution, Query, Rows};
use chrono::NaiveDate;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::{
    Answer, AthenaSettings, Engine, EngineError, EngineName, Estimate, Figures, PastQuery,
    Progress, State, Statement, TableColumns, reads_of,
};
pub(crate) use failure::of as failure;
use sent::{Sent, Service};

/// The table of the archive.
const TABLE: &str = "price_archive";

/// How often a query that nothing new is known of is told of.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// How long a query that was stopped is waited for, to tell what it had read.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// Queries that run on the service.
struct Athena {
    athena: aws::athena::Athena,
    settings: AthenaSettings,
    service: Service,
}

/// Connects with what the environment says of region, credentials and endpoint.
pub(crate) async fn open(settings: &AthenaSettings) -> Result<Box<dyn Engine>, EngineError> {
    let athena = aws::athena::Athena::connect(&settings.workgroup, &settings.database)
        .await
        .map_err(|error| failure(&error))?;
    let service = Service {
        takes_parameters: !settings.render_params && !athena.is_emulated(),
        keeps_views: !athena.is_emulated(),
    };
    Ok(Box::new(Athena {
        athena,
        settings: settings.clone(),
        service,
    }))
}

impl Athena {
    /// The archive's folder on S3: as it was named, or as the table has it.
    async fn folder(&self) -> Result<Folder, EngineError> {
        if let Some(text) = &self.settings.archive {
            return Ok(self.athena.folder(location(text)?));
        }
        let found = self.athena.find_table(TABLE).await;
        let table = found.map_err(|error| failure(&error))?.ok_or_else(|| {
            EngineError::Usage(format!(
                "there is no table {TABLE} in the database {}: run `ticksql init`, or give --database",
                self.athena.database()
            ))
        })?;
        let location = table.location.ok_or_else(|| {
            EngineError::Usage(format!(
                "the table {TABLE} does not say where its files are: give --archive s3://BUCKET/PREFIX/"
            ))
        })?;
        Ok(self.athena.folder(location))
    }

    /// The error of a statement, with its place in the text that it was made from, and near names.
    async fn explained(
        &self,
        error: aws::athena::error::AthenaError,
        statement: &Statement,
        sent: &Sent,
    ) -> EngineError {
        let tables = if failure::is_about_a_name(&error) {
            // What helps to explain an error must not hide it behind another one.
            self.athena.tables().await.unwrap_or_default()
        } else {
            Vec::new()
        };
        failure::of_statement(&error, &tables, |place| {
            statement.origin_of(sent.origin_of(place))
        })
    }

    /// Stops a query and waits a moment for its end.
    async fn stopped(&self, id: &str) -> EngineError {
        if let Err(error) = self.athena.stop(id).await {
            return EngineError::Service(format!(
                "{error}; the query may still run: stop it by `ticksql cancel {id}`"
            ));
        }
        let mut scanned_bytes = 0;
        let ended = self
            .athena
            .wait(id, |execution| scanned_bytes = execution.scanned_bytes);
        // It ends as cancelled, which is no news; where it does not end, nobody can do more.
        _ = tokio::time::timeout(STOP_TIME_MAX, ended).await;
        EngineError::Cancelled {
            query_id: Some(id.to_owned()),
            scanned_bytes,
        }
    }

    /// Waits until a query has ended, and tells how far it is meanwhile.
    async fn watched(
        &self,
        id: &str,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Execution, aws::athena::error::AthenaError> {
        let last = Mutex::new((Progress::start(), Instant::now()));
        let seen = |execution: &Execution| {
            let now = Progress::of(execution);
            *last.lock().unwrap_or_else(PoisonError::into_inner) = (now, Instant::now());
            progress(now);
        };
        let mut ended = std::pin::pin!(self.athena.wait(id, seen));
        let mut turns = tokio::time::interval(PROGRESS_EVERY);
        loop {
            tokio::select! {
                biased;
                ended = &mut ended => return ended,
                _ = turns.tick() => {
                    let (last, at) = *last.lock().unwrap_or_else(PoisonError::into_inner);
                    progress(last.after(at.elapsed()));
                }
            }
        }
    }

    fn answer(&self, ended: Execution, rows: Rows, cancel: CancellationToken) -> Answer {
        let figures = Figures {
            query_id: Some(ended.id.clone()),
            scanned_bytes: ended.scanned_bytes,
            files: None,
            reused: ended.reused,
            queued: ended.queued,
            ran: ended.ran,
        };
        let state = (rows.batches, cancel, ended);
        let batches = stream::try_unfold(state, async |(mut batches, cancel, ended)| {
            let next = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(EngineError::Cancelled {
                    query_id: Some(ended.id),
                    scanned_bytes: ended.scanned_bytes,
                }),
                next = batches.next() => next,
            };
            match next {
                None => Ok(None),
                Some(Ok(batch)) => Ok(Some((batch, (batches, cancel, ended)))),
                Some(Err(error)) => Err(failure(&error)),
            }
        });
        Answer {
            schema: rows.schema,
            batches: Box::pin(batches),
            figures: Box::new(move || figures.clone()),
        }
    }
}

#[async_trait]
impl Engine for Athena {
    fn name(&self) -> EngineName {
        EngineName::Athena
    }

    async fn estimate(&self, statement: &Statement) -> Result<Estimate, EngineError> {
        if statement.scans.is_empty() {
            let note = "it reads no table of the archive; other tables are not looked into";
            return Ok(Estimate {
                note: Some(note.to_owned()),
                ..Estimate::default()
            });
        }
        let folder = self.folder().await?;
        let all = folder.days().await.map_err(|error| failure(&error))?;
        let read: Vec<(NaiveDate, usize)> = all
            .into_iter()
            .map(|day| (day, reads_of(&statement.scans, day)))
            .filter(|(_, reads)| *reads > 0)
            .collect();
        let days: Vec<NaiveDate> = read.iter().map(|(day, _)| *day).collect();
        let files = folder.files(&days).await.map_err(|error| failure(&error))?;
        let (mut count, mut bytes) = (0, 0_u64);
        for (files, (_, reads)) in files.iter().zip(&read) {
            count += files.count;
            let reads = u64::try_from(*reads).unwrap_or(u64::MAX);
            bytes = bytes.saturating_add(files.bytes.saturating_mul(reads));
        }
        Ok(Estimate {
            days,
            files: count,
            bytes,
            note: Some(
                "an upper bound: Athena reads the columns that are asked for, and leaves out parts \
                 of files by their statistics"
                    .to_owned(),
            ),
        })
    }

    async fn plan(&self, statement: &Statement) -> Result<String, EngineError> {
        // EXPLAIN takes no parameters.
        let service = Service {
            takes_parameters: false,
            ..self.service
        };
        let sent = Sent::of(statement, service);
        let query = Query::new(format!("EXPLAIN {}", sent.sql));
        let read = async {
            let ended = self.athena.run(&query).await?;
            let rows = self.athena.rows(&ended).await?;
            rows.batches.try_collect::<Vec<RecordBatch>>().await
        };
        match read.await {
            Ok(batches) => lines::of(&batches),
            Err(error) => Err(self.explained(error, statement, &sent).await),
        }
    }

    async fn run(
        &self,
        statement: &Statement,
        progress: &(dyn Fn(Progress) + Send + Sync),
        cancel: CancellationToken,
    ) -> Result<Answer, EngineError> {
        let sent = Sent::of(statement, self.service);
        let may_reuse = !self.settings.no_reuse && !self.athena.is_emulated();
        let now_ms = runtime::clock::now_ms();
        let query = Query {
            sql: sent.sql.clone(),
            parameters: sent.parameters.clone(),
            reuse_age: (may_reuse && closed::is_closed(statement, now_ms))
                .then_some(closed::REUSE_AGE),
            without_database: false,
        };
        progress(Progress::start());
        // Not cut short: a query whose id is not known could not be stopped.
        let id = match self.athena.start(&query).await {
            Ok(id) => id,
            Err(error) => return Err(self.explained(error, statement, &sent).await),
        };
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(self.stopped(&id).await),
            ended = self.watched(&id, progress) => ended,
        };
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => return Err(self.explained(error, statement, &sent).await),
        };
        progress(Progress {
            state: State::Reading,
            ..Progress::of(&ended)
        });
        let rows = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(EngineError::Cancelled {
                query_id: Some(id),
                scanned_bytes: ended.scanned_bytes,
            }),
            rows = self.athena.rows(&ended) => rows.map_err(|error| failure(&error))?,
        };
        Ok(self.answer(ended, rows, cancel))
    }

    async fn tables(&self) -> Result<Vec<TableColumns>, EngineError> {
        let tables = self.athena.tables().await;
        let tables = tables.map_err(|error| failure(&error))?.into_iter();
        Ok(tables
            .map(|table| TableColumns {
                name: table.name,
                columns: table.columns,
            })
            .collect())
    }

    async fn days(&self) -> Result<Option<Vec<NaiveDate>>, EngineError> {
        let folder = self.folder().await?;
        let days = folder.days().await.map_err(|error| failure(&error))?;
        Ok(Some(days))
    }

    async fn history(&self, count_max: usize) -> Result<Vec<PastQuery>, EngineError> {
        let found = self.athena.history(count_max).await;
        let found = found.map_err(|error| failure(&error))?.into_iter();
        Ok(found
            .map(|execution| PastQuery {
                engine: EngineName::Athena,
                id: execution.id,
                at_ms: execution.submitted_at_ms.unwrap_or(0),
                state: execution.state.as_str().to_owned(),
                ran_ms: u64::try_from(execution.ran.as_millis()).unwrap_or(u64::MAX),
                scanned_bytes: execution.scanned_bytes,
                reused: execution.reused,
                sql: execution.sql,
            })
            .collect())
    }

    async fn cancel(&self, id: &str) -> Result<(), EngineError> {
        let found = self
            .athena
            .look(id)
            .await
            .map_err(|error| failure(&error))?;
        if found.state.has_ended() {
            return Err(EngineError::Usage(format!(
                "the query {id} has ended before: it {}",
                match found.state.as_str() {
                    "cancelled" => "was cancelled",
                    other => other,
                }
            )));
        }
        self.athena.stop(id).await.map_err(|error| failure(&error))
    }
}

impl Progress {
    fn start() -> Self {
        Self {
            state: State::Queued,
            queued: Duration::ZERO,
            ran: Duration::ZERO,
            scanned_bytes: 0,
        }
    }

    fn of(execution: &Execution) -> Self {
        Self {
            state: match execution.state {
                aws::athena::State::Queued => State::Queued,
                aws::athena::State::Running
                | aws::athena::State::Succeeded
                | aws::athena::State::Failed
                | aws::athena::State::Cancelled => State::Running,
            },
            queued: execution.queued,
            ran: execution.ran,
            scanned_bytes: execution.scanned_bytes,
        }
    }

    /// What it must be by now, where nothing newer was heard.
    fn after(self, elapsed: Duration) -> Self {
        match self.state {
            State::Queued => Self {
                queued: self.queued + elapsed,
                ..self
            },
            State::Running | State::Reading => Self {
                ran: self.ran + elapsed,
                ..self
            },
        }
    }
}

/// Reads the address of a folder.
pub(crate) fn location(text: &str) -> Result<Location, EngineError> {
    Location::parse(text)
        .or_else(|| Location::parse(&format!("{text}/")))
        .ok_or_else(|| {
            EngineError::Usage(format!(
                "{text} is no folder on S3: write s3://BUCKET/PREFIX/"
            ))
        })
}
