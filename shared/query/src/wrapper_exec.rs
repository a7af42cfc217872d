//! An operator of a plan that passes on the rows of its input, changed or checked.

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

/// What becomes of the rows of an input, each time that it runs. Their schema and order stay.
pub(crate) trait Wrapper: fmt::Debug + Send + Sync {
    /// The operator's name in EXPLAIN.
    fn name(&self) -> &'static str;

    fn wrap(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream;
}

/// The operator.
#[derive(Debug)]
pub(crate) struct WrapperExec {
    input: Arc<dyn ExecutionPlan>,
    wrapper: Arc<dyn Wrapper>,
}

impl WrapperExec {
    pub(crate) fn around(input: &Arc<dyn ExecutionPlan>, wrapper: impl Wrapper + 'static) -> Self {
        Self {
            input: Arc::clone(input),
            wrapper: Arc::new(wrapper),
        }
    }
}

impl DisplayAs for WrapperExec {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for WrapperExec {
    fn name(&self) -> &str {
        self.wrapper.name()
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
        let wrapper = Arc::clone(&self.wrapper);
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self { input, wrapper })),
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
        let rows = self.input.execute(partition, context)?;
        Ok(self.wrapper.wrap(rows))
    }
}
