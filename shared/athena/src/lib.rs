//! SQL on the archive in S3 by Athena: a statement is started, watched, stopped and read here,
//! without a type of the SDK.
//!
//! Throttling and lost answers are tried again by the SDK within [`PATIENCE`]. A start that is tried
//! again starts no second query: the SDK gives each its token.

pub mod catalog;
mod columns;
pub mod error;
mod execution;
mod fields;
pub mod folder;
mod rows;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_athena::Client;
use aws_sdk_athena::types::{
    QueryExecutionContext, ResultReuseByAgeConfiguration, ResultReuseConfiguration,
};

use aws_client::client::{self, Timeouts};
use error::AthenaError;
pub use execution::{Execution, State};
pub use rows::Rows;

/// For a person who waits at a terminal.
pub const PATIENCE: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    attempt: Duration::from_secs(15),
    operation: Duration::from_secs(60),
    attempts_max: 4,
};

/// The service's limit for the text of a statement.
pub const SQL_BYTES_MAX: usize = 262_144;

/// The service's limit for the age of an answer that is taken again: seven days.
pub const REUSE_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The catalogue that every account has.
const CATALOG: &str = "AwsDataCatalog";

/// What stands for the region of a configuration that names none; its calls fail.
const NO_REGION: &str = "none";

/// The first wait between two looks at a query; few queries are done sooner.
const POLL_FIRST: Duration = Duration::from_millis(100);

/// The longest wait between two looks. The service allows 100 looks a second, for all together.
const POLL_MAX: Duration = Duration::from_secs(2);

/// How much longer each wait is than the one before.
const POLL_GROWTH: f64 = 1.5;

/// Looks in a row that may fail before a running query is given up on.
const LOOKS_FAILED_MAX: u32 = 5;

/// Answers of the history that are asked for at a time: the service's limit for both calls.
const HISTORY_PAGE: usize = 50;

/// A workgroup's queries on a database.
#[derive(Debug, Clone)]
pub struct Athena {
    client: Client,
    s3: aws_sdk_s3::Client,
    workgroup: String,
    database: String,
    region: String,
    emulated: bool,
}

/// A statement to start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The text, with `?` for each parameter.
    pub sql: String,
    /// The parameters in their order, each a literal of SQL: `42`, `'BTC'`.
    pub parameters: Vec<String>,
    /// How old the answer of an equal query may be to be taken instead, in whole minutes up to
    /// [`REUSE_AGE_MAX`]; `None` runs it in any case.
    pub reuse_age: Option<Duration>,
    /// Leaves the database away, for a statement that creates it.
    pub without_database: bool,
}

impl Query {
    /// A statement without parameters.
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            ..Self::default()
        }
    }
}

impl Athena {
    /// Connects with the region, credentials and endpoint of the environment.
    ///
    /// # Errors
    /// [`AthenaError::Setup`] where region or credentials are missing.
    pub async fn connect(workgroup: &str, database: &str) -> Result<Self, AthenaError> {
        let config = client::config(PATIENCE).await;
        client::check(&config).await?;
        Ok(Self::new(&config, workgroup, database))
    }

    /// Queries with a ready configuration.
    #[must_use]
    pub fn new(config: &SdkConfig, workgroup: &str, database: &str) -> Self {
        Self {
            client: Client::new(config),
            s3: client::s3(config),
            workgroup: workgroup.to_owned(),
            database: database.to_owned(),
            region: config
                .region()
                .map_or_else(|| NO_REGION.to_owned(), ToString::to_string),
            emulated: config.endpoint_url().is_some(),
        }
    }

    /// The workgroup.
    #[must_use]
    pub fn workgroup(&self) -> &str {
        &self.workgroup
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The region that is asked.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whether another service than AWS answers, as `AWS_ENDPOINT_URL` says.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.emulated
    }

    /// Starts a statement and returns its id.
    ///
    /// # Errors
    /// [`AthenaError`]: a statement that cannot be parsed, a workgroup that is not there, a refusal.
    pub async fn start(&self, query: &Query) -> Result<String, AthenaError> {
        if query.sql.len() > SQL_BYTES_MAX {
            return Err(AthenaError::TooLong(query.sql.len()));
        }
        let mut context = QueryExecutionContext::builder().catalog(CATALOG);
        if !query.without_database {
            context = context.database(&self.database);
        }
        // The service refuses an empty list.
        let parameters = Some(query.parameters.clone()).filter(|list| !list.is_empty());
        let started = self
            .client
            .start_query_execution()
            .query_string(&query.sql)
            .set_execution_parameters(parameters)
            .query_execution_context(context.build())
            .work_group(&self.workgroup)
            .set_result_reuse_configuration(query.reuse_age.map(reuse))
            .send()
            .await
            .map_err(|error| error::of_start(&error, &self.workgroup, &self.region))?;
        let id = started.query_execution_id.filter(|id| !id.is_empty());
        id.ok_or_else(|| AthenaError::Unreadable("a start without a query's id".to_owned()))
    }

    /// Looks at a query.
    ///
    /// # Errors
    /// [`AthenaError`] where the service does not know it, or does not answer.
    pub async fn look(&self, id: &str) -> Result<Execution, AthenaError> {
        let found = self
            .client
            .get_query_execution()
            .query_execution_id(id)
            .send()
            .await
            .map_err(|error| error::of_call(&error))?;
        let execution = found
            .query_execution
            .ok_or_else(|| AthenaError::Unreadable("a query without its state".to_owned()))?;
        Ok(Execution::of(&execution))
    }

    /// Waits until a query has ended, and tells `seen` what each look found. Looks come rarer with
    /// time, from 100 ms to 2 s.
    ///
    /// # Errors
    /// [`AthenaError`] says why the query failed, or who cancelled it; and where five looks in a row
    /// got no answer.
    pub async fn wait(
        &self,
        id: &str,
        mut seen: impl FnMut(&Execution),
    ) -> Result<Execution, AthenaError> {
        let (mut pause, mut failed) = (POLL_FIRST, 0);
        loop {
            match self.look(id).await {
                Ok(execution) => {
                    failed = 0;
                    seen(&execution);
                    match execution.state {
                        State::Queued | State::Running => {}
                        State::Succeeded => return Ok(execution),
                        State::Failed | State::Cancelled => return Err(error::of_end(&execution)),
                    }
                }
                // The query goes on while nobody looks.
                Err(error) if error.is_transient() && failed < LOOKS_FAILED_MAX => failed += 1,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = pause.mul_f64(POLL_GROWTH).min(POLL_MAX);
        }
    }

    /// Starts a statement and waits for its end.
    ///
    /// # Errors
    /// As [`Self::start`] and [`Self::wait`].
    pub async fn run(&self, query: &Query) -> Result<Execution, AthenaError> {
        let id = self.start(query).await?;
        self.wait(&id, |_| ()).await
    }

    /// Stops a query; one that has ended stays as it is. What it has read by then is billed.
    ///
    /// # Errors
    /// [`AthenaError`] where the service does not know it, or does not answer.
    pub async fn stop(&self, id: &str) -> Result<(), AthenaError> {
        let stopped = self.client.stop_query_execution().query_execution_id(id);
        match stopped.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(error::of_call(&error)),
        }
    }

    /// The last queries of the workgroup, the newest first. The service keeps them 45 days.
    ///
    /// # Errors
    /// [`AthenaError`].
    pub async fn history(&self, count_max: usize) -> Result<Vec<Execution>, AthenaError> {
        let mut ids = Vec::new();
        let page_size = i32::try_from(count_max.clamp(1, HISTORY_PAGE)).unwrap_or(1);
        let mut pages = self
            .client
            .list_query_executions()
            .work_group(&self.workgroup)
            .into_paginator()
            .page_size(page_size)
            .send();
        while ids.len() < count_max
            && let Some(page) = pages.next().await
        {
            let page =
                page.map_err(|error| error::of_workgroup(&error, &self.workgroup, &self.region))?;
            ids.extend(page.query_execution_ids.unwrap_or_default());
        }
        let mut executions = Vec::with_capacity(ids.len());
        for page in ids.chunks(HISTORY_PAGE) {
            let found = self
                .client
                .batch_get_query_execution()
                .set_query_execution_ids(Some(page.to_vec()))
                .send()
                .await
                .map_err(|error| error::of_call(&error))?;
            executions.extend(found.query_executions().iter().map(Execution::of));
        }
        executions.sort_by_key(|execution| std::cmp::Reverse(execution.submitted_at_ms));
        executions.truncate(count_max);
        Ok(executions)
    }

    /// The rows of a query that succeeded: of the object that it wrote, or, where that is no CSV
    /// (SHOW, DESCRIBE, EXPLAIN) or cannot be found, page by page from the service.
    ///
    /// # Errors
    /// [`AthenaError`] where columns or object cannot be read; later errors come with the batches.
    pub async fn rows(&self, execution: &Execution) -> Result<Rows, AthenaError> {
        rows::open(&self.client, &self.s3, execution).await
    }
}

fn reuse(age: Duration) -> ResultReuseConfiguration {
    let minutes = age.min(REUSE_AGE_MAX).as_secs() / 60;
    let by_age = ResultReuseByAgeConfiguration::builder()
        .enabled(true)
        .max_age_in_minutes(i32::try_from(minutes).unwrap_or(i32::MAX));
    ResultReuseConfiguration::builder()
        .result_reuse_by_age_configuration(by_age.build())
        .build()
}
