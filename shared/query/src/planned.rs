//! Turns the text of a statement into a plan that can run.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SQLOptions;
use datafusion::sql::parser::Statement;

use crate::error::{self, SqlError, UnknownTable};
use crate::limits::Limits;
use crate::read_only::{Answers, ReadOnly, parse_unbound};
use crate::result_columns::result_schema;
use crate::value::{self, Value};
use crate::{dialect, session};

/// A statement that can be run.
pub(crate) struct Planned {
    /// The columns of its rows; two may have the same name.
    pub(crate) schema: SchemaRef,
    pub(crate) physical: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
}

impl Planned {
    pub(crate) fn stream(&self, limits: Limits) -> Result<SendableRecordBatchStream, SqlError> {
        execute_stream(Arc::clone(&self.physical), Arc::clone(&self.context))
            .map_err(|error| error::of_running(error, limits))
    }
}

pub(crate) async fn plan(
    state: SessionState,
    sql: &str,
    values: &[Value],
    limits: Limits,
) -> Result<Planned, SqlError> {
    let ReadOnly {
        mut statement,
        answers,
    } = parse_unbound(sql)?;
    dialect::check(&mut statement)?;
    value::bind(&mut statement, values)?;
    let tables = session::tables(&state).await;
    dialect::rewrite(&mut statement, sql, &tables)?;
    let plan = match state.statement_to_plan(statement.clone()).await {
        Ok(plan) => plan,
        Err(error) => return Err(explained(error, &state, &statement, sql, limits).await),
    };
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(|error| SqlError::NotReadOnly(error::message(&error)))?;
    let failed = |error| error::of_planning(error, sql, limits);
    let plan = match answers {
        Answers::Rows if limits.rows_max < usize::MAX => {
            limited(plan, limits.rows_max).map_err(failed)?
        }
        Answers::Rows | Answers::Description => plan,
    };
    let frame = DataFrame::new(state, plan);
    let context = Arc::new(frame.task_ctx());
    let physical = frame.create_physical_plan().await.map_err(failed)?;
    let schema = result_schema(&physical.schema())?;
    Ok(Planned {
        schema,
        physical,
        context,
    })
}

/// Why a statement could not be planned: unknown names come first.
async fn explained(
    error: DataFusionError,
    state: &SessionState,
    statement: &Statement,
    sql: &str,
    limits: Limits,
) -> SqlError {
    let unknown = session::unknown_table(state, statement).await;
    let error = error::of_planning(error, sql, limits);
    if let Some(UnknownTable { name, suggestions }) = unknown {
        return SqlError::UnknownTable {
            name,
            position: error.position(),
            suggestions,
        };
    }
    error
}

/// One row more than the limit shows that an answer was cut.
fn limited(plan: LogicalPlan, rows_max: usize) -> datafusion::error::Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .limit(0, Some(rows_max.saturating_add(1)))?
        .build()
}
