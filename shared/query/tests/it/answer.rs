//! The answers of queries, for tests.

use std::path::Path;

use archive::Archive;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::writer::JsonArray;
use domain::Tick;
use query::{Limits, LocalSql, SqlError, json_writer};
use serde_json::Value;
use tempfile::TempDir;

/// Limits that suffice for small tests.
pub(crate) const LIMITS: Limits = Limits {
    rows_max: usize::MAX,
    memory_bytes_max: 128 * 1024 * 1024,
    spill_bytes_max: 0,
    batch_rows: 1_024,
    threads: 2,
};

/// All that a query returned.
pub(crate) struct Answer {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) files: usize,
    pub(crate) bytes_read: u64,
}

impl Answer {
    pub(crate) fn row_count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The rows as JSON.
    pub(crate) fn rows(&self) -> Value {
        let mut writer = json_writer().build::<_, JsonArray>(Vec::new());
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        writer.write_batches(&batches).unwrap();
        writer.finish().unwrap();
        match serde_json::from_slice(&writer.into_inner()) {
            Ok(rows) => rows,
            // No batch was written.
            Err(_) => Value::Array(Vec::new()),
        }
    }

    pub(crate) fn column_names(&self) -> Vec<&str> {
        let fields = self.schema.fields().iter();
        fields.map(|field| field.name().as_str()).collect()
    }
}

pub(crate) fn archive_of(ticks: &[Tick]) -> TempDir {
    let data = tempfile::tempdir().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    archive
        .write_range(0, 0, ticks.len() as u64, ticks)
        .unwrap();
    data
}

pub(crate) async fn open(data: &Path) -> LocalSql {
    LocalSql::open(data, LIMITS).await.unwrap()
}

/// A table of the numbers from 0 to below `count`, for FROM: its column is `k`.
pub(crate) fn numbers(count: usize, name: &str) -> String {
    let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let numbers = numbers.join(", ");
    format!("(SELECT CAST(k AS bigint) AS k FROM (VALUES {numbers}) AS v (k)) AS {name}")
}

/// Runs a query to its end.
pub(crate) async fn run(sql: &LocalSql, query: &str) -> Result<Answer, SqlError> {
    let mut rows = sql.start(query, &[]).await?;
    let (schema, stats) = (rows.schema().clone(), rows.scan_stats());
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await? {
        batches.push(batch);
    }
    let (files, bytes_read) = stats.by_now();
    Ok(Answer {
        schema,
        batches,
        files,
        bytes_read,
    })
}

/// The answer to a query that must have one.
pub(crate) async fn answer(sql: &LocalSql, query: &str) -> Answer {
    match run(sql, query).await {
        Ok(answer) => answer,
        Err(error) => panic!("{query}: {error}"),
    }
}

pub(crate) async fn rows(sql: &LocalSql, query: &str) -> Value {
    answer(sql, query).await.rows()
}

pub(crate) async fn refusal(sql: &LocalSql, query: &str) -> SqlError {
    match run(sql, query).await {
        Ok(answer) => panic!("{query} returned {}", answer.rows()),
        Err(error) => error,
    }
}
