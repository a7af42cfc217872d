//! An operator of the engine with something done around it: to what it runs in, or to its rows.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};

/// What is done around an operator. Neither the rows' values nor their order change.
pub(super) trait Change: fmt::Debug + Send + Sync {
    /// How plans that are shown name it.
    fn name(&self) -> &'static str;

    /// What the operator runs in.
    fn context(&self, given: Arc<TaskContext>) -> Arc<TaskContext> {
        given
    }

    /// What its rows pass through.
    fn rows(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        rows
    }
}

/// An operator with something done around it.
#[derive(Debug)]
struct Around<C> {
    change: C,
    operator: Arc<dyn ExecutionPlan>,
}

pub(super) fn around<C: Change + Copy + 'static>(
    change: C,
    operator: Arc<dyn ExecutionPlan>,
) -> Arc<dyn ExecutionPlan> {
    Arc::new(Around { change, operator })
}

/// A node with something done around each of its inputs.
pub(super) fn around_inputs<C: Change + Copy + 'static>(
    change: C,
    node: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let inputs = node.children().into_iter();
    let inputs = inputs.map(|input| around(change, Arc::clone(input)));
    let inputs = inputs.collect();
    over(node, inputs)
}

/// A node over other inputs, whose properties are those of the inputs before.
fn over(
    node: Arc<dyn ExecutionPlan>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let same = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
    node.replace_children(inputs, same)
}

impl<C: Change> DisplayAs for Around<C> {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.change.name())
    }
}

impl<C: Change + Copy + 'static> ExecutionPlan for Around<C> {
    fn name(&self) -> &'static str {
        self.change.name()
    }

    /// The operator's own, so that what stands above it need not be made anew.
    fn properties(&self) -> &Arc<PlanProperties> {
        self.operator.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.operator]
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
        let mut children = children.into_iter();
        match (children.next(), children.next()) {
            (Some(operator), None) => Ok(around(self.change, operator)),
            _ => Err(DataFusionError::Internal(format!(
                "{} has one input",
                self.change.name()
            ))),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        over(self, children)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let context = self.change.context(context);
        Ok(self.change.rows(self.operator.execute(partition, context)?))
    }
}
