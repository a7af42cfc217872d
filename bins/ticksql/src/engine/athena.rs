//! Athena as an engine: a statement is sent as the service takes it, watched, and stopped with this
//! program.

mod closed;
mod estimate;
mod failure;
mod lines;
mod running;
mod sent;
mod words;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use athena::Query;
use athena::error::AthenaError;
use athena::folder::Location;
use chrono::NaiveDate;
use futures_util::TryStreamExt as _;
use tokio_util::sync::CancellationToken;

use super::{
    Answer, AthenaSettings, Engine, EngineError, EngineName, Estimate, PastQuery, Progress,
    Statement, TableColumns,
};
use crate::init::statements::ARCHIVE;
pub(crate) use estimate::other_archive;
pub(crate) use failure::of as failure;
use sent::{Sent, Service};

/// Queries that run on the service.
struct Athena {
    athena: athena::Athena,
    settings: AthenaSettings,
    service: Service,
}

/// Connects with what the environment says of region, credentials and endpoint.
pub(crate) async fn open(settings: &AthenaSettings) -> Result<Box<dyn Engine>, EngineError> {
    let athena = athena::Athena::connect(&settings.workgroup, &settings.database)
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
    /// The error of a statement, with its place in the text that it was made from, and near names.
    async fn explained(
        &self,
        error: athena::error::AthenaError,
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
}

#[async_trait]
impl Engine for Athena {
    fn name(&self) -> EngineName {
        EngineName::Athena
    }

    fn region(&self) -> Option<String> {
        Some(self.athena.region().to_owned())
    }

    async fn estimate(&self, statement: &Statement) -> Result<Estimate, EngineError> {
        self.estimated(statement).await
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
        self.run_sent(statement, &sent, query, progress, cancel)
            .await
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
        let folder = self.folder(&ARCHIVE).await?;
        let days = folder.days().await.map_err(|error| failure(&error))?;
        Ok(Some(days))
    }

    async fn history(&self, count_max: usize) -> Result<Vec<PastQuery>, EngineError> {
        let found = self.athena.history(count_max).await;
        let found = found.map_err(|error| failure(&error))?;
        // Some services list nothing for a workgroup that is not there. Who may not look whether it
        // is there is not told that it is not.
        if found.is_empty()
            && let Ok(None) = self.athena.find_workgroup().await
        {
            return Err(failure(&AthenaError::NoWorkgroup {
                workgroup: self.athena.workgroup().to_owned(),
                region: self.athena.region().to_owned(),
            }));
        }
        let found = found.into_iter();
        Ok(found
            .map(|execution| PastQuery {
                engine: EngineName::Athena,
                id: execution.id,
                at_ms: execution.submitted_at_ms.unwrap_or(0),
                state: execution.state.as_str().to_owned(),
                ran_ms: u64::try_from(execution.ran.as_millis()).unwrap_or(u64::MAX),
                scanned_bytes: execution.scanned_bytes,
                reused: execution.reused,
                name: None,
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
