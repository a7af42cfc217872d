//! Sorts texts in little memory. Texts are views into buffers that many batches share, and a sort
//! counts those buffers once for each batch that it keeps: it spills data that memory
//! could hold a hundred times over.
//!
//! Other operators need no help: DataFusion's `RepartitionExec` coalesces its batches, and compacts
//! their texts as it does.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, StringViewArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use futures_util::StreamExt as _;

use crate::wrapper_exec::{Wrapper, WrapperExec};

/// Compacts the texts of each batch before a sort.
#[derive(Debug)]
pub(crate) struct CompactStringViews;

impl PhysicalOptimizerRule for CompactStringViews {
    fn name(&self) -> &'static str {
        "CompactStringViews"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let before_sort = |node: Arc<dyn ExecutionPlan>| match node.downcast_ref::<SortExec>() {
            Some(sort) if has_string_views(sort.input()) => {
                let input = Arc::new(WrapperExec::around(sort.input(), Compacted));
                // The input's properties stay as they are.
                let keep = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
                node.replace_children(vec![input], keep)
                    .map(Transformed::yes)
            }
            _ => Ok(Transformed::no(node)),
        };
        plan.transform_up(before_sort).map(|done| done.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn has_string_views(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let schema = plan.schema();
    let mut types = schema.fields().iter().map(|field| field.data_type());
    types.any(|data_type| *data_type == DataType::Utf8View)
}

/// Compacts the texts of each batch. Values and order stay.
#[derive(Debug)]
struct Compacted;

impl Wrapper for Compacted {
    fn name(&self) -> &'static str {
        "CompactStringViewsExec"
    }

    fn wrap(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = rows.schema();
        let rows = rows.map(|batch| compacted(batch?));
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}

/// A batch whose texts keep alive no buffers of other rows.
fn compacted(batch: RecordBatch) -> Result<RecordBatch> {
    let (schema, columns, rows) = batch.into_parts();
    let compact = |column: ArrayRef| match column.as_string_view_opt() {
        Some(texts) if is_sparse(texts) => Arc::new(texts.gc()),
        _ => column,
    };
    let columns = columns.into_iter().map(compact).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// Whether more than half of the buffers belongs to other rows.
fn is_sparse(texts: &StringViewArray) -> bool {
    let kept: usize = texts
        .data_buffers()
        .iter()
        .map(|buffer| buffer.capacity())
        .sum();
    kept / 2 > texts.total_buffer_bytes_used()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Array as _;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::prelude::SessionContext;

    use super::*;

    fn texts(batch: &RecordBatch) -> &StringViewArray {
        batch.columns()[0].as_string_view()
    }

    fn batch_of(texts: StringViewArray) -> RecordBatch {
        RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap()
    }

    /// Texts too long to be inside their views.
    fn long_texts(count: usize) -> RecordBatch {
        let text = |n| format!("a text of more than twelve bytes, number {n}");
        batch_of((0..count).map(text).map(Some).collect())
    }

    #[test]
    fn a_slice_keeps_only_its_own_texts() {
        let all = long_texts(1_000);
        let slice = all.slice(500, 2);
        let own = compacted(slice.clone()).unwrap();
        assert_eq!(own, slice);
        let kept = |batch: &RecordBatch| texts(batch).get_array_memory_size();
        assert!(
            kept(&own) < kept(&slice) / 100,
            "{} of {}",
            kept(&own),
            kept(&slice)
        );
    }

    #[test]
    fn texts_that_are_used_are_not_copied() {
        let all = long_texts(1_000);
        let same = compacted(all.clone()).unwrap();
        let address = |batch: &RecordBatch| texts(batch).data_buffers()[0].as_ptr();
        assert_eq!(address(&same), address(&all));
        // Texts inside their views have no buffers.
        let short = batch_of(["a", "b"].into_iter().map(Some).collect());
        assert_eq!(compacted(short.clone()).unwrap(), short);
    }

    #[tokio::test]
    async fn sorts_of_texts_get_compact_ones() {
        let shown = async |sql: &str| {
            let state = SessionStateBuilder::new()
                .with_default_features()
                .with_physical_optimizer_rule(Arc::new(CompactStringViews))
                .build();
            let context = SessionContext::new_with_state(state);
            let _frame = context.register_batch("generated", long_texts(3)).unwrap();
            let plan = context.sql(sql).await.unwrap();
            let plan = plan.create_physical_plan().await.unwrap();
            let rows = collect(Arc::clone(&plan), context.task_ctx())
                .await
                .unwrap();
            assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
            displayable(plan.as_ref()).indent(false).to_string()
        };
        let sorted = shown("SELECT text FROM generated ORDER BY text").await;
        let (_, below) = sorted.split_once("SortExec").unwrap();
        assert_eq!(below.matches("CompactStringViews").count(), 1, "{sorted}");
        for sql in [
            "SELECT text, count(*) FROM generated GROUP BY text",
            "SELECT n FROM (SELECT length(text) AS n FROM generated) ORDER BY n",
        ] {
            let plan = shown(sql).await;
            assert!(!plan.contains("CompactStringViews"), "{plan}");
        }
    }
}
