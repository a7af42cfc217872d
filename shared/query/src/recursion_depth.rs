//! Recursive queries fail where they fail on Athena: after ten steps that found rows.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::config::ConfigOptions;
use datafusion::common::exec_err;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures_util::StreamExt as _;

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
            let step = Arc::new(StepExec {
                input: Arc::clone(query.recursive_term()),
                steps: Arc::default(),
            });
            let changed = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            node.replace_children(vec![first, step], changed)
                .map(Transformed::yes)
        };
        plan.transform_up(counted).map(|done| done.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The part of a recursive query that runs once for each step.
#[derive(Debug)]
struct StepExec {
    input: Arc<dyn ExecutionPlan>,
    steps: Arc<AtomicUsize>,
}

impl DisplayAs for StepExec {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for StepExec {
    fn name(&self) -> &'static str {
        "StepExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let steps = Arc::clone(&self.steps);
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self { input, steps })),
            Err(_) => Err(DataFusionError::Internal(format!(
                "{} has one input",
                self.name()
            ))),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let keep = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
        self.replace_children(children, keep)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let is_too_deep = self.steps.fetch_add(1, Ordering::Relaxed) >= STEPS_MAX;
        let rows = self.input.execute(partition, context)?;
        let schema = rows.schema();
        let rows = rows.map(move |batch| match batch {
            Ok(batch) if is_too_deep && batch.num_rows() > 0 => exec_err!(
                "a recursive query goes {STEPS_MAX} steps at most on Athena: write a sequence, or a join for each step"
            ),
            batch => batch,
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
