//! Athena as an engine: a statement is sent in the form that the service takes, watched, and stopped
//! together with this program.

mod athena_errors;
mod estimate;
mod folder_address;
mod plan_text;
mod query_run;
mod rendered_statement;
mod result_reuse;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use athena::Query;
use athena::error::AthenaError;
use chrono::NaiveDate;
use futures_util::TryStreamExt as _;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{Answer, DayTable, Engine, EngineError, Estimate, PastQuery, Progress, TableColumns};
use crate::options::{AthenaSettings, EngineName};
use crate::statement::Statement;
pub(crate) use athena_errors::engine_error;
use estimate::file_of;
pub(crate) use estimate::other_archive;
pub(crate) use folder_address::location;
use rendered_statement::{Capabilities, RenderedStatement};

/// Queries that run on the service.
struct Athena {
    athena: athena::Athena,
    settings: AthenaSettings,
    capabilities: Capabilities,
    /// The first and the last day of each of [`DayTable::ALL`]: listed once.
    bounds: [OnceCell<Option<(NaiveDate, NaiveDate)>>; DayTable::ALL.len()],
}

/// Connects with what the environment says of region, credentials and endpoint.
pub(crate) async fn open(settings: &AthenaSettings) -> Result<Box<dyn Engine>, EngineError> {
    let athena = athena::Athena::connect(&settings.workgroup, &settings.database)
        .await
        .map_err(|error| engine_error(&error))?;
    let capabilities = Capabilities {
        takes_parameters: !settings.render_params && !athena.is_emulated(),
        keeps_views: !athena.is_emulated(),
    };
    Ok(Box::new(Athena {
        athena,
        settings: settings.clone(),
        capabilities,
        bounds: std::array::from_fn(|_| OnceCell::new()),
    }))
}

impl Athena {
    /// The error of a statement, with its position in the text that it was generated from, and
    /// suggestions.
    async fn explained(
        &self,
        error: AthenaError,
        statement: &Statement,
        rendered: &RenderedStatement,
    ) -> EngineError {
        let tables = if athena_errors::is_about_a_name(&error) {
            // What helps to explain an error must not hide it behind another one.
            self.athena.tables().await.unwrap_or_default()
        } else {
            Vec::new()
        };
        athena_errors::statement_error(&error, &tables, |position| {
            statement.source_position(rendered.source_position(position))
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
        let rendered = RenderedStatement::explaining(statement, self.capabilities);
        let query = Query::new(rendered.sql.clone());
        let read = async {
            let ended = self.athena.run(&query).await?;
            let rows = self.athena.rows(&ended).await?;
            rows.batches.try_collect::<Vec<RecordBatch>>().await
        };
        match read.await {
            Ok(batches) => plan_text::of(&batches),
            Err(error) => Err(self.explained(error, statement, &rendered).await),
        }
    }

    async fn run(
        &self,
        statement: &Statement,
        progress: &(dyn Fn(Progress) + Send + Sync),
        cancel: CancellationToken,
    ) -> Result<Answer, EngineError> {
        let rendered = RenderedStatement::of(statement, self.capabilities);
        let may_reuse = !self.settings.no_reuse && !self.athena.is_emulated();
        let now_ms = runtime::clock::now_ms();
        let query = Query {
            sql: rendered.sql.clone(),
            parameters: rendered.parameters.clone(),
            reuse_age: (may_reuse && result_reuse::is_closed(statement, now_ms))
                .then_some(result_reuse::REUSE_AGE),
            without_database: false,
        };
        self.run_rendered(statement, &rendered, query, progress, cancel)
            .await
    }

    async fn tables(&self) -> Result<Vec<TableColumns>, EngineError> {
        let tables = self.athena.tables().await;
        let tables = tables.map_err(|error| engine_error(&error))?.into_iter();
        Ok(tables
            .map(|table| TableColumns {
                name: table.name,
                columns: table.columns,
            })
            .collect())
    }

    async fn days(&self, table: DayTable) -> Result<Vec<NaiveDate>, EngineError> {
        let folder = self.folder(file_of(table)).await?;
        folder.days().await.map_err(|error| engine_error(&error))
    }

    async fn existing_days(&self, table: DayTable) -> Result<Vec<NaiveDate>, EngineError> {
        let [archive, quarantine, anomalies] = &self.bounds;
        let bounds = match table {
            DayTable::Archive => archive,
            DayTable::Quarantine => quarantine,
            DayTable::Anomalies => anomalies,
        };
        let listed = bounds.get_or_try_init(async || {
            let days = self.days(table).await?;
            Ok::<_, EngineError>(days.first().copied().zip(days.last().copied()))
        });
        Ok(match *listed.await? {
            Some((first, last)) => {
                let days = first.iter_days().take_while(|day| *day <= last);
                days.collect()
            }
            None => Vec::new(),
        })
    }

    async fn history(&self, count_max: usize) -> Result<Vec<PastQuery>, EngineError> {
        let found = self.athena.history(count_max).await;
        let found = found.map_err(|error| engine_error(&error))?;
        // Some services list nothing for a workgroup that does not exist. A user who may not check
        // whether it exists gets the empty list.
        if found.is_empty()
            && let Ok(None) = self.athena.find_workgroup().await
        {
            return Err(engine_error(&AthenaError::NoWorkgroup {
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
            .poll(id)
            .await
            .map_err(|error| engine_error(&error))?;
        if found.state.has_ended() {
            return Err(EngineError::Usage(format!(
                "query {id} has already ended: it {}",
                match found.state.as_str() {
                    "cancelled" => "was cancelled",
                    other => other,
                }
            )));
        }
        self.athena
            .stop(id)
            .await
            .map_err(|error| engine_error(&error))
    }
}
