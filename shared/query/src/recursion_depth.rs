//! Recursive queries fail where they fail on Athena: after ten steps that found rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::config::ConfigOptions;
use datafusion::common::exec_err;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use futures_util::StreamExt as _;

use crate::wrapper_exec::{Wrapper, WrapperExec};

/// Trino's `max-recursion-depth`, which Athena leaves as it is.
const STEPS_MAX: usize = 10;

/// Counts the steps of recursive queries.
#[derive(Debug)]
pub(crate) struct RecursionDepth;

impl PhysicalOptimizerRule for RecursionDepth {
    fn name(&self) -> &'static str {
        "RecursionDepth"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let counted = |node: Arc<dyn ExecutionPlan>| {
            let Some(query) = node.downcast_ref::<RecursiveQueryExec>() else {
                return Ok(Transformed::no(node));
            };
            let first = Arc::clone(query.static_term());
            // It runs once for each step.
            let step = WrapperExec::around(query.recursive_term(), Steps::default());
            let changed = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            node.replace_children(vec![first, Arc::new(step)], changed)
                .map(Transformed::yes)
        };
        plan.transform_up(counted).map(|done| done.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Counts how often a step runs.
#[derive(Debug, Default)]
struct Steps(AtomicUsize);

impl Wrapper for Steps {
    fn name(&self) -> &'static str {
        "StepExec"
    }

    fn wrap(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let is_too_deep = self.0.fetch_add(1, Ordering::Relaxed) >= STEPS_MAX;
        let schema = rows.schema();
        let rows = rows.map(move |batch| match batch {
            Ok(batch) if is_too_deep && batch.num_rows() > 0 => exec_err!(
                "a recursive query goes {STEPS_MAX} steps at most on Athena: write a sequence, or a join for each step"
            ),
            batch => batch,
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}
