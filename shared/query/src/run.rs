//! A statement's way from text to rows.

use std::collections::HashSet;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::ArrayData;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SQLOptions;
use futures_util::TryStreamExt as _;

use super::answer::{self, Answer};
use super::by_text::by_text;
use super::error::{self, SqlError};
use super::gathering::{gathered, with_own_texts};
use super::guard::{self, Allowed, Shape};
use super::missing;
use super::partial::with_small_tables;
use super::reads::Reads;
use super::sent_once::sent_once;
use super::value::Value;
use super::yielding::yielding;
use super::{Limits, session, verify};

/// A statement that can be run.
pub(super) struct Planned {
    /// The columns of its rows; no two have the same name.
    pub(super) schema: SchemaRef,
    pub(super) physical: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
}

impl Planned {
    pub(super) fn stream(&self, limits: Limits) -> Result<SendableRecordBatchStream, SqlError> {
        execute_stream(Arc::clone(&self.physical), Arc::clone(&self.context))
            .map_err(|error| error::of_running(error, limits))
    }
}

pub(super) async fn plan(
    state: SessionState,
    sql: &str,
    values: &[Value],
    limits: Limits,
) -> Result<Planned, SqlError> {
    let Allowed { statement, shape } = guard::parse(sql, values)?;
    let unknown = session::unknown_tables(&state, &statement).await?;
    let read_only = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    let understood = |error| error::of_planning(error, &unknown, limits);
    let plan = state
        .statement_to_plan(statement)
        .await
        .map_err(|error| missing::explained(understood(error), &state))?;
    read_only
        .verify_plan(&plan)
        .map_err(|error| SqlError::NotReadOnly(error::message(&error)))?;
    let plan = match shape {
        Shape::Rows if limits.rows_max < usize::MAX => {
            limited(plan, limits.rows_max).map_err(understood)?
        }
        Shape::Rows | Shape::Told => plan,
    };
    let frame = DataFrame::new(state, plan);
    let schema = answer::unique_names(frame.schema().as_arrow());
    let context = Arc::new(frame.task_ctx());
    let physical = frame.create_physical_plan().await.map_err(understood)?;
    let physical = sent_once(physical)
        .and_then(with_own_texts)
        .and_then(by_text)
        .and_then(with_small_tables)
        .and_then(yielding)
        .map_err(understood)?;
    Ok(Planned {
        schema,
        physical,
        context,
    })
}

/// Runs a statement to its end, within the limits on an answer. `table` is the archive's folder, for
/// naming a file that cannot be read.
pub(super) async fn answer(
    state: SessionState,
    sql: String,
    limits: Limits,
    table: PathBuf,
) -> Result<Answer, SqlError> {
    let planned = plan(state, &sql, &[], limits).await?;
    let stream = planned.stream(limits)?;
    let reads = Reads::of(&planned.physical);
    let (batches, truncated) = match collect(stream, limits).await {
        Ok(collected) => collected,
        Err(error) => return Err(verify::name_file(error, reads.files(&table)).await),
    };
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let (files, bytes_read) = reads.by_now();
    let batches = batches.into_iter();
    let batches: Result<_, _> = batches
        .map(|batch| answer::renamed(&batch, &planned.schema))
        .collect();
    Ok(Answer {
        schema: planned.schema,
        batches: batches?,
        rows,
        truncated,
        files,
        bytes_read,
        elapsed: Duration::ZERO,
    })
}

/// One row more than the limit tells a full answer from a cut one.
fn limited(plan: LogicalPlan, rows_max: usize) -> datafusion::error::Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .limit(0, Some(rows_max.saturating_add(1)))?
        .build()
}

async fn collect(
    mut stream: SendableRecordBatchStream,
    limits: Limits,
) -> Result<(Vec<RecordBatch>, bool), SqlError> {
    let mut batches: Vec<RecordBatch> = Vec::new();
    let mut rows_left = limits.rows_max;
    let mut bytes_left = limits.answer_bytes_max;
    let mut held = HashSet::new();
    while let Some(batch) = stream
        .try_next()
        .await
        .map_err(|e| error::of_running(e, limits))?
    {
        let batch = gathered(batch).map_err(|e| error::of_running(e, limits))?;
        let columns = batch.columns().iter();
        let bytes: usize = columns
            .map(|column| bytes_not_held(&column.to_data(), &mut held))
            .sum();
        if batch.num_rows() > rows_left || bytes > bytes_left {
            let room = if bytes > bytes_left { 0 } else { rows_left };
            batches.push(batch.slice(0, room.min(batch.num_rows())));
            return Ok((batches, true));
        }
        rows_left -= batch.num_rows();
        bytes_left -= bytes;
        batches.push(batch);
    }
    Ok((batches, false))
}

/// The memory behind an array, without the buffers that are held by then: batches are often slices
/// of one larger one.
fn bytes_not_held(data: &ArrayData, held: &mut HashSet<NonZero<usize>>) -> usize {
    let nulls = data.nulls().map(|nulls| nulls.inner().inner());
    let mut bytes = 0;
    for buffer in data.buffers().iter().chain(nulls) {
        if held.insert(buffer.data_ptr().addr()) {
            bytes += buffer.capacity();
        }
    }
    for child in data.child_data() {
        bytes += bytes_not_held(child, held);
    }
    bytes
}
