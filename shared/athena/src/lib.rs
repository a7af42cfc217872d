//! SQL on the archive in S3 with Athena: starts, polls and stops queries, and reads their results.
//! The API contains no types of the SDK.
//!
//! The SDK retries throttled calls and lost responses within [`TIMEOUTS`]. A retried start does not
//! start a second query, since the SDK sends the same token.

pub mod catalog;
mod columns;
pub mod error;
mod execution;
mod fields;
pub mod folder;
mod limits;
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
pub use limits::{REUSE_AGE_MAX, SQL_BYTES_MAX};
pub use rows::Rows;

/// For a person who waits at a terminal.
pub const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    attempt: Duration::from_secs(15),
    operation: Duration::from_secs(60),
    attempts_max: 4,
};

/// The catalogue that every account has.
const CATALOG: &str = "AwsDataCatalog";

/// The region in messages if none is configured; all calls fail then.
const NO_REGION: &str = "none";

/// The first wait between two polls of a query; few queries end sooner.
const POLL_FIRST: Duration = Duration::from_millis(100);

/// The longest wait between two polls. The service allows 100 polls a second per account.
const POLL_MAX: Duration = Duration::from_secs(2);

/// The factor between two successive waits.
const POLL_GROWTH: f64 = 1.5;

/// Consecutive polls that may fail before a running query is given up.
const FAILED_POLLS_MAX: u32 = 5;

/// Queries per page of the history: the service's limit for both calls.
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
    /// The parameters in order, each as an SQL literal: `42`, `'BTC'`.
    pub parameters: Vec<String>,
    /// The maximum age of an earlier result that may be reused, in whole minutes up to
    /// [`REUSE_AGE_MAX`]; `None` always runs the query.
    pub reuse_age: Option<Duration>,
    /// Omits the database, for a statement that creates it.
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
    /// Connects with the environment's region, credentials and endpoint.
    ///
    /// # Errors
    /// [`AthenaError::Setup`] if the region or the credentials are missing.
    pub async fn connect(workgroup: &str, database: &str) -> Result<Self, AthenaError> {
        let config = client::config(TIMEOUTS).await;
        client::check(&config).await?;
        Ok(Self::new(&config, workgroup, database))
    }

    /// Creates a client from a loaded configuration.
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

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whether `AWS_ENDPOINT_URL` selects a service other than AWS.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.emulated
    }

    /// Starts a statement and returns its id.
    ///
    /// # Errors
    /// [`AthenaError`]: an invalid statement, a missing workgroup, or a failed call.
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
        id.ok_or_else(|| AthenaError::Unreadable("the started query has no id".to_owned()))
    }

    /// Polls a query once.
    ///
    /// # Errors
    /// [`AthenaError`] if the service does not know the query, or does not respond.
    pub async fn poll(&self, id: &str) -> Result<Execution, AthenaError> {
        let found = self
            .client
            .get_query_execution()
            .query_execution_id(id)
            .send()
            .await
            .map_err(|error| error::of_call(&error))?;
        let execution = found
            .query_execution
            .ok_or_else(|| AthenaError::Unreadable("the query has no state".to_owned()))?;
        Ok(Execution::of(&execution))
    }

    /// Waits until a query has ended, and calls `seen` after each poll. The waits between polls grow
    /// from 100 ms to 2 s.
    ///
    /// # Errors
    /// [`AthenaError`] if the query failed or was cancelled, or if six consecutive polls failed.
    pub async fn wait(
        &self,
        id: &str,
        mut seen: impl FnMut(&Execution),
    ) -> Result<Execution, AthenaError> {
        let (mut pause, mut failed) = (POLL_FIRST, 0);
        loop {
            match self.poll(id).await {
                Ok(execution) => {
                    failed = 0;
                    seen(&execution);
                    match execution.state {
                        State::Queued | State::Running => {}
                        State::Succeeded => return Ok(execution),
                        State::Failed | State::Cancelled => return Err(error::of_end(&execution)),
                    }
                }
                // The query keeps running between polls.
                Err(error) if error.is_transient() && failed < FAILED_POLLS_MAX => failed += 1,
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

    /// Stops a query; one that has ended is unchanged. The bytes read by then are billed.
    ///
    /// # Errors
    /// [`AthenaError`] if the service does not know the query, or does not respond.
    pub async fn stop(&self, id: &str) -> Result<(), AthenaError> {
        let stopped = self.client.stop_query_execution().query_execution_id(id);
        match stopped.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(error::of_call(&error)),
        }
    }

    /// The workgroup's latest queries, newest first. The service keeps them for 45 days.
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

    /// The rows of a successful query: from the object that it wrote, or page by page from the
    /// service if the object is not CSV (SHOW, DESCRIBE, EXPLAIN) or is missing.
    ///
    /// # Errors
    /// [`AthenaError`] if the columns or the object cannot be read; later errors are in the batches.
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
