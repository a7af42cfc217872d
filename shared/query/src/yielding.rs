//! Queries that can be stopped: a join makes millions of rows out of few, and the operators around it
//! take them for hours without a wait. What never waits keeps its thread, whoever drops it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::physical_plan::ExecutionPlan;
use futures_util::{Stream, StreamExt as _};

use super::around::{Change, around, around_inputs};

/// How long an operator works before it lets others have its thread. The engine's own turns are
/// counted in batches that are read, of which one may be work for minutes.
const TURN: Duration = Duration::from_millis(20);

/// A plan whose operators with several inputs take turns, at their inputs and at their output.
pub(super) fn yielding(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let taking_turns = |node: Arc<dyn ExecutionPlan>| {
        if node.children().len() < 2 {
            return Ok(Transformed::no(node));
        }
        let node = around_inputs(InTurns, node)?;
        Ok(Transformed::yes(around(InTurns, node)))
    };
    plan.transform_up(taking_turns).map(|done| done.data)
}

/// Lets an operator take turns.
#[derive(Debug, Clone, Copy)]
struct InTurns;

impl Change for InTurns {
    fn name(&self) -> &'static str {
        "Yielding"
    }

    fn rows(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        Box::pin(Turns { rows, since: None })
    }
}

/// Rows in turns.
struct Turns {
    rows: SendableRecordBatchStream,
    /// When the turn began.
    since: Option<Instant>,
}

impl Stream for Turns {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > TURN {
            self.since = None;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.rows.poll_next_unpin(cx);
        if next.is_pending() {
            self.since = None;
        }
        next
    }
}

impl RecordBatchStream for Turns {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use datafusion::physical_plan::execute_stream;
    use datafusion::prelude::SessionContext;

    use super::*;

    /// Whether a query lets go of the only thread, which the clock that stops it needs too.
    fn lets_go(sql: &'static str) -> bool {
        let (ended, end) = channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            let outcome = runtime.block_on(async {
                let context = SessionContext::new();
                let plan = context.sql(sql).await.unwrap();
                let plan = plan.create_physical_plan().await.unwrap();
                let plan = yielding(plan).unwrap();
                let mut rows = execute_stream(plan, context.task_ctx()).unwrap();
                tokio::time::timeout(Duration::from_millis(50), rows.next()).await
            });
            _ = ended.send(outcome.is_err());
        });
        end.recv_timeout(Duration::from_secs(60)) == Ok(true)
    }

    #[test]
    fn a_join_without_end_lets_go_of_its_thread() {
        // Many rows.
        assert!(lets_go(
            "SELECT sum(a.value * b.value % c.value) FROM generate_series(1, 100000) a, \
             generate_series(1, 100000) b, generate_series(1, 100000) c"
        ));
        // None of many.
        assert!(lets_go(
            "SELECT count(*) FROM generate_series(1, 200) a \
             JOIN generate_series(1, 1000000000) b ON a.value + b.value < 0"
        ));
    }

    #[tokio::test]
    async fn the_rows_are_the_same() {
        let context = SessionContext::new();
        let sql = "SELECT a.value AS x, b.value AS y FROM generate_series(1, 3) a \
                   CROSS JOIN generate_series(1, 2) b UNION ALL SELECT 7, 8 ORDER BY x, y LIMIT 5";
        let rows = async |turns: bool| {
            let plan = context.sql(sql).await.unwrap();
            let plan = plan.create_physical_plan().await.unwrap();
            let plan = if turns { yielding(plan).unwrap() } else { plan };
            let batches = datafusion::physical_plan::collect(plan, context.task_ctx());
            let batches = batches.await.unwrap();
            datafusion::arrow::util::pretty::pretty_format_batches(&batches)
                .unwrap()
                .to_string()
        };
        assert_eq!(rows(true).await, rows(false).await);
    }
}
