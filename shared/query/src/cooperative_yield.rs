//! Makes queries stoppable: even after a query is dropped, an operator that never yields keeps its
//! thread.
//!
//! DataFusion's `EnsureCooperative` makes every leaf of a plan yield after so many batches. A join
//! can turn one batch into millions, and read the next one only hours later. This rule makes
//! operators with several inputs yield by their output too, with DataFusion's own operator.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;

/// Makes operators with several inputs yield.
#[derive(Debug)]
pub(crate) struct CooperativeYield;

impl PhysicalOptimizerRule for CooperativeYield {
    fn name(&self) -> &'static str {
        "CooperativeYield"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let yielding = |node: Arc<dyn ExecutionPlan>| match node.children().len() {
            0 | 1 => Ok(Transformed::no(node)),
            _ => Ok(Transformed::yes(
                Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>
            )),
        };
        plan.transform_up(yielding).map(|done| done.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use datafusion::execution::SessionStateBuilder;
    use datafusion::physical_plan::{displayable, execute_stream};
    use datafusion::prelude::{SessionConfig, SessionContext};
    use futures_util::StreamExt as _;

    use super::*;

    /// With one partition: channels between partitions yield by themselves.
    fn session() -> SessionContext {
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(SessionConfig::new().with_target_partitions(1))
            .with_physical_optimizer_rule(Arc::new(CooperativeYield))
            .build();
        SessionContext::new_with_state(state)
    }

    /// Whether a query yields the only thread, which the timeout that stops it needs too.
    fn yields(sql: &'static str) -> bool {
        let (ended, end) = channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            let outcome = runtime.block_on(async {
                let context = session();
                let plan = context.sql(sql).await.unwrap();
                let plan = plan.create_physical_plan().await.unwrap();
                let mut rows = execute_stream(plan, context.task_ctx()).unwrap();
                tokio::time::timeout(Duration::from_millis(50), rows.next()).await
            });
            _ = ended.send(outcome.is_err());
        });
        end.recv_timeout(Duration::from_secs(600)) == Ok(true)
    }

    #[test]
    fn an_endless_join_yields() {
        // A join with many rows.
        assert!(yields(
            "SELECT sum(a.value * b.value % c.value) FROM generate_series(1, 100000) a, \
             generate_series(1, 100000) b, generate_series(1, 100000) c"
        ));
        // A join of many rows without a result.
        assert!(yields(
            "SELECT count(*) FROM generate_series(1, 200) a \
             JOIN generate_series(1, 1000000000) b ON a.value + b.value < 0"
        ));
    }

    #[tokio::test]
    async fn only_operators_with_several_inputs_are_wrapped() {
        let shown = async |sql: &str| {
            let plan = session().sql(sql).await.unwrap();
            let plan = plan.create_physical_plan().await.unwrap();
            displayable(plan.as_ref()).indent(false).to_string()
        };
        let joined = shown("SELECT 1 FROM (VALUES (1)) a CROSS JOIN (VALUES (2)) b").await;
        let above = joined.split("CrossJoinExec").next().unwrap();
        assert!(above.contains("CooperativeExec"), "{joined}");
        let grouped = shown("SELECT count(*) FROM (VALUES (1), (2)) a(n) GROUP BY n").await;
        assert!(!grouped.contains("CooperativeExec"), "{grouped}");
    }
}
